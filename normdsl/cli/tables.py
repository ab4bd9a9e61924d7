"""Verdicts as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from normdsl.cli.folding import formulas
from normdsl.cli.plain import said
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.declarations.rule import Rule
from normdsl.show.grid import Grid

#: How wide a column of answers is at least: conditions are folded into it.
_COLUMN = 16


def framed(grid: Grid, widths: Sequence[int] = ()) -> Table:
    """Return a table with lines between its columns, folded to the width of the terminal.

    Args:
        grid: what it shows. widths: of the columns after the first; without them, by what fits.
    """
    table = Table(show_edge=False, pad_edge=False)
    for k, name in enumerate(grid.head):
        most = widths[k - 1] if k and widths else None
        table.add_column(name, overflow="fold", no_wrap=k == 0, max_width=most)
    for row in grid.rows:
        table.add_row(*(_cell(text, grid) for text in row))
    return table


def _cell(text: str, grid: Grid) -> Text:
    tone = grid.tones.get(text)
    return Text(said(text), style=tone.terminal if tone else "")


def block(shown: str | Grid, width: int) -> Table | Text:
    """Return a part of a report, a table or any text, folded to a width."""
    return framed(shown) if isinstance(shown, Grid) else Text(formulas(shown, width))


def mark(verdict: Verdict) -> str:
    """Return the answer in a word, or its condition, for the cell of a matrix."""
    conditional = verdict.status is Status.CONDITIONAL
    return verdict.answer.removeprefix("invariant ") if conditional else verdict.status.mark


def comparison_tables(report: Report, width: int) -> Iterator[Table]:
    """Yield tables with one row per group and one column per rule, as many as fit the width."""
    tones = {mark(v): v.status.tone for v in report}
    found = {(v.declaration, v.group): mark(v) for v in report}  # none where a group does nothing
    left = width - max(len(g.name) for g in report.groups)
    for shown in _fitting(report.declarations, left):
        rows = [[g.name, *(found.get((r, g), "") for r in shown)] for g in report.groups]
        heads = ["group", *(r.name for r in shown)]
        cells = list(zip(heads, *rows, strict=True))[1:]
        yield framed(Grid(heads, rows, tones=tones), _widths(cells, left - 3 * len(shown)))


def _fitting(rules: Sequence[Rule], width: int) -> list[list[Rule]]:
    """Return the rules in parts whose columns fit a width with their names unfolded."""
    parts: list[list[Rule]] = []
    left = 0
    for rule in rules:
        taken = _least(rule.name) + 3  # a line between two columns, and spaces
        left -= taken
        if left < 0:
            parts.append([])
            left = width - taken
        parts[-1].append(rule)
    return parts


def _widths(columns: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """Return how wide columns are: no name is folded, and the narrow ones get what is left."""
    full = [max(len(said(text)) for text in column) for column in columns]
    widths = [min(most, _least(column[0])) for most, column in zip(full, columns, strict=True)]
    for _ in range(width - sum(widths)):
        short = [k for k, most in enumerate(full) if widths[k] < most]
        if not short:
            break
        widths[min(short, key=widths.__getitem__)] += 1
    return widths


def _least(name: str) -> int:
    return max(_COLUMN, len(name))
