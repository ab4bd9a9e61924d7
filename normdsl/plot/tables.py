"""Tables as pictures: verdicts of rules by groups, and maps of norm × preconditioner."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from normdsl.compiler.comparison.geometry import geometry
from normdsl.compiler.comparison.table import Comparison
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check, named_apart
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.near import did_you_mean
from normdsl.plot.picture import canvas
from normdsl.show.colours import FIRST, INK
from normdsl.show.text import Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]
_EMPTY = "–"
#: How long a name above a column may be before it is turned, where columns are narrow and wide.
WIDEST = {False: 5, True: 14}


def compare(
    *rules: Rule | Report,
    groups: Iterable[Group | str] | None = None,
    ax: Axes | None = None,
) -> Any:
    """Draw the verdicts on rules as a matrix: a row for each rule, a column for each group.

    A letter behind an "if" is explained below.

    Args:
        rules: the rules, which are checked; or one report, of `rule.check()` or `nd.compare`.
        groups: which groups; without them all.
        ax: axes to draw into.

    Returns:
        The figure, or `ax`.

    Raises:
        NormdslError: for no rule, two of one name, or an unknown group; without matplotlib.

    Example:
        >>> import normdsl as nd
        >>> from normdsl.algorithms import muon, sgd
        >>> picture = nd.plot.compare(sgd, muon, groups=["orthogonal", "scale"])
        >>> [text.get_text() for text in picture.axes[0].texts][:4]
        ['yes', 'no', 'yes', 'no']
    """
    found = Comparison(_report(rules, groups))
    grid, tones = found.verdicts, found.verdicts.tones
    heads, marks = list(grid.head)[1:], [list(row)[1:] for row in grid.rows]
    names = [row[0] for row in grid.rows]
    used = {text for row in marks for text in row}
    told = [f"{a}: {c}" for c, a in found.letters.items() if f"if {a}" in used]
    notes = [textwrap.fill(line, 100) for line in told]
    below = sum(1 + note.count("\n") for note in notes)
    size = (2.2 + 0.52 * len(heads), 1.5 + 0.34 * len(names) + 0.18 * below)
    with canvas(ax, "draw verdicts", *size) as (shown, axes):
        for i, row in enumerate(marks):
            for j, text in enumerate(row):
                if text in tones:
                    _cell(axes, i, j, text, tones[text].page, bold=True)
        _frame(axes, names, heads, wide=False)
        if notes:
            axes.set_xlabel("\n".join(notes), loc="left", fontsize=8, labelpad=6)
    return shown


def _report(rules: Sequence[Rule | Report], groups: Iterable[Group | str] | None) -> Report:
    """Return the verdicts: those of a report, or new ones."""
    verdicts: list[Verdict] = []
    named_apart(*(r for r in rules if isinstance(r, Rule)), *_inside(rules))
    listed = None if groups is None else list(groups)
    for rule in rules:
        made = rule if isinstance(rule, Report) else check(rule, listed)
        verdicts += [made] if isinstance(made, Verdict) else made
    if listed is not None:
        wanted = {g if isinstance(g, str) else g.name for g in listed}
        verdicts = [v for v in verdicts if v.group.name in wanted]
    return Report(tuple(verdicts))


def _inside(rules: Sequence[Rule | Report]) -> list[Rule]:
    return [d for r in rules if isinstance(r, Report) for d in r.declarations]


def periodic_table(designs: Any, *more: Rule, value: str = "loss", ax: Axes | None = None) -> Any:
    """Draw a map of designs: a row for each norm, a column for each preconditioner.

    Of a table of results, a cell has its smallest value, darker if smaller, and what else the
    design is made of. Of rules, a cell has the names of those whose step is an LMO or a sharp
    operator of that norm with that preconditioner; rules without such a step are listed below.

    Args:
        designs: a frame, as `nd.explore` returns it, or a list of records, with columns `norm`,
            `preconditioner` and `value`; or the first of several rules.
        more: further rules.
        value: the column whose smallest value is drawn. ax: axes to draw into.

    Returns:
        The figure, or `ax`.

    Raises:
        DeclarationError: if there is nothing to draw, or a column is missing.
        NormdslError: if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> from normdsl.algorithms import adam, muadam, muon
        >>> picture = nd.plot.periodic_table(adam, muadam, muon)
        >>> [tick.get_text() for tick in picture.axes[0].get_yticklabels()]
        ['‖X‖_F', '‖X‖₂']
    """
    if isinstance(designs, Rule):
        return _of_rules((designs, *more), ax)
    return _of_records(_records(designs, value), value, ax)


def _records(designs: Any, value: str) -> list[Record]:
    """Return the rows of a frame or a list, with the columns that are needed."""
    rows = designs.to_dict("records") if hasattr(designs, "to_dict") else list(designs)
    for row in rows or [{}]:
        for column in ("norm", "preconditioner", value):
            if column not in row:
                raise DeclarationError(
                    "draw a map of norm × preconditioner",
                    why=f"there is no column {column!r}",
                    hint=did_you_mean(column, map(str, row), "the columns are"),
                )
    return rows


def _of_records(rows: Sequence[Record], value: str, ax: Axes | None) -> Any:
    norms, maps = (list(dict.fromkeys(str(r[c]) for r in rows)) for c in ("norm", "preconditioner"))
    best: dict[tuple[str, str], Record] = {}
    for row in rows:
        key, new = (str(row["norm"]), str(row["preconditioner"])), _number(row[value])
        if new == new and (key not in best or new < float(best[key][value])):  # NaN is no value
            best[key] = row
    values = [float(row[value]) for row in best.values()]
    least, most = min(values, default=0.0), max(values, default=0.0)
    with canvas(ax, "draw a map of norm and preconditioner", *_size(norms, maps)) as (shown, axes):
        for i, norm in enumerate(norms):
            for j, name in enumerate(maps):
                found = best.get((norm, name))
                if found is None:
                    _cell(axes, i, j, _EMPTY)
                    continue
                here = float(found[value])
                rest = [str(found[c]) for c in ("momentum", "step") if c in found]
                told = "\n".join([f"{here:.3g}", *rest])
                _cell(axes, i, j, told, FIRST, bold=here == least)
                _bar(axes, i, j, (most - here) / (most - least) if most > least else 1.0)
        _frame(axes, norms, maps)
        told = (
            f"smallest {value} of each pair; a longer bar is a smaller {value}, the least in bold"
        )
        axes.set_xlabel(told, loc="left", fontsize=8)
    return shown


def _number(value: Any) -> float:
    """Return a value; NaN for a design that has none."""
    return float("nan") if value is None else float(value)


def _bar(axes: Axes, i: int, j: int, share: float) -> None:
    """Draw a bar at the bottom of a cell."""
    axes.plot((j + 0.06, j + 0.06 + 0.88 * share), (i + 0.9, i + 0.9), color=FIRST, lw=3)


def _of_rules(rules: Sequence[Rule], ax: Axes | None) -> Any:
    cells: dict[tuple[str, str], list[str]] = {}
    outside = []
    for rule in rules:
        found = geometry(rule)
        if found is None:
            outside.append(rule.name)
            continue
        n = Text(rule.labels)
        sides = [(found.left, "L"), (found.right, "R"), (found.hadamard, "D")]
        parts = [
            f"{letter} = {' '.join(n(x).text for x in side)}" for side, letter in sides if side
        ]
        key = (n(found.base).text, "\n".join(parts) or "none")
        cells.setdefault(key, []).append(f"{rule.name} ({found.oracle})")
    norms, maps = (list(dict.fromkeys(key[k] for key in cells)) for k in (0, 1))
    with canvas(ax, "draw a map of rules", *_size(norms, maps)) as (shown, axes):
        for i, norm in enumerate(norms):
            for j, name in enumerate(maps):
                found_names = cells.get((norm, name), [])
                told = "\n".join(found_names) or _EMPTY
                _cell(axes, i, j, told, FIRST if found_names else "")
        _frame(axes, norms, maps)
        if outside:
            told = "not the step of one norm: " + ", ".join(outside)
            axes.set_xlabel(textwrap.fill(told, 100), loc="left", fontsize=8)
    return shown


def _size(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    return 1.6 + 1.25 * len(columns), 1.2 + 0.62 * len(rows)


def _cell(axes: Axes, i: int, j: int, text: str, colour: str = "", bold: bool = False) -> None:
    """Draw a cell, row i from above and column j, tinted if it has a colour.

    Bold letters have the colour of the cell.
    """
    from matplotlib.patches import Rectangle

    if colour:
        box = Rectangle((j + 0.03, i + 0.05), 0.94, 0.9, facecolor=colour, alpha=0.1, lw=0)
        axes.add_patch(box)
    look: dict[str, Any] = {"color": colour, "fontweight": "bold"} if bold else {"color": INK}
    axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, **look)


def _frame(axes: Axes, rows: Sequence[str], columns: Sequence[str], wide: bool = True) -> None:
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    axes.xaxis.tick_top()
    longest = max((len(line) for name in columns for line in name.split("\n")), default=0)
    turned: dict[str, Any] = {"rotation": 40, "ha": "left"} if longest > WIDEST[wide] else {}
    axes.set_xticks([j + 0.5 for j in range(len(columns))], columns, **turned)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
