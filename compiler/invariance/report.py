"""Reports: verdicts over groups, for one rule or several, as text, HTML and LaTeX tables."""

from __future__ import annotations

import html
from collections.abc import Iterator

import attrs

from normdsl.compiler.invariance.degree import INCOMPATIBLE, Degree, degree
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError

_COLOURS = {
    Status.INVARIANT: "#1a7f37",
    Status.CONDITIONAL: "#9a6700",
    Status.REFUTED: "#cf222e",
    Status.UNKNOWN: "#57606a",
}
_LEFT = "style='text-align:left'"


@attrs.frozen(repr=False)
class Report:
    """Verdicts of one or several declarations, in order."""

    verdicts: tuple[Verdict, ...]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, key: Group | str | tuple[str, str]) -> Verdict:
        """Return the verdict for a group; of several rules, for (rule, group).

        Raises:
            NormdslError: if the report has none, or several.
        """
        rule, group = key if isinstance(key, tuple) else (None, key)
        name = group if isinstance(group, str) else group.name
        found = [
            v for v in self.verdicts if v.group.name == name and rule in (None, v.declaration.name)
        ]
        if len(found) == 1:
            return found[0]
        why = "the report has no verdict for it" if not found else "several rules have one"
        raise NormdslError(
            f"look up the group {name!r}",
            why=why,
            hint="it has the groups "
            + ", ".join(dict.fromkeys(v.group.name for v in self.verdicts))
            + " of the rules "
            + ", ".join(d.name for d in self.declarations)
            + "; write report[rule, group]",
        )

    @property
    def declarations(self) -> list[Declaration]:
        """The rules, in order."""
        return list(dict.fromkeys(v.declaration for v in self.verdicts))

    @property
    def groups(self) -> list[Group]:
        """The groups, in order."""
        return list(dict.fromkeys(v.group for v in self.verdicts))

    @property
    def degrees(self) -> list[Degree]:
        """The degrees of the steps in the loss, where they have one."""
        return [d for d in map(degree, self.declarations) if d is not None]

    @property
    def notes(self) -> list[str]:
        """The degrees of the steps, and what follows from them."""
        names = [g.name for g in self.groups]
        if not {"loss_scale", "uniform_scale"} <= set(names):
            return []
        listed = self.degrees
        told = [f"The step of {d.declaration.name} has {d}." for d in listed]
        return told + [INCOMPATIBLE] * any(d.gradient_only for d in listed)

    def table(self) -> list[list[str]]:
        """Return the cells: a row per verdict of one rule, or a row per group of several."""
        if len(self.declarations) == 1:
            head = ["group", "verdict", "because"]
            return [head, *([v.group.name, v.answer, v.because] for v in self.verdicts)]
        cells = {(v.declaration, v.group): v.answer for v in self.verdicts}
        rows = [[g.name, *(cells.get((d, g), "") for d in self.declarations)] for g in self.groups]
        return [["group", *(d.name for d in self.declarations)], *rows]

    def __str__(self) -> str:
        rows = self.table()
        title = [self.declarations[0].name] if len(self.declarations) == 1 else []
        body = rows[1:] if title else rows
        widths = [max(map(len, column)) for column in zip(*body, strict=True)]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in body
        ]
        return "\n".join([*title, *lines, *self.notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = self.table()
        head = "".join(f"<th {_LEFT}>{html.escape(c)}</th>" for c in rows[0])
        colours = {v.answer: _COLOURS[v.status] for v in self.verdicts}
        formulas = {g.name: g.formula for g in self.groups}
        body = "".join(
            "<tr>" + "".join(_cell(c, colours, formulas) for c in row) + "</tr>" for row in rows[1:]
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return table + notes

    def _repr_latex_(self) -> str:
        rows = [row[:2] if len(self.declarations) == 1 else row for row in self.table()]
        lines = [" & ".join(rf"\text{{{_plain(c)}}}" for c in row) for row in rows]
        columns = "l" * len(rows[0])
        lines[0] += r" \\ \hline"
        head, *body = lines
        return (
            f"$$\\begin{{array}}{{{columns}}}\n{head}\n" + " \\\\\n".join(body) + "\n\\end{array}$$"
        )


def _cell(text: str, colours: dict[str, str], formulas: dict[str, str]) -> str:
    if text in colours:
        style = f"style='text-align:left;color:{colours[text]};font-weight:600'"
        return f"<td {style}>{html.escape(text)}</td>"
    title = f" title='{html.escape(formulas[text])}'" if text in formulas else ""
    return f"<td {_LEFT}{title}>{html.escape(text)}</td>"


def _plain(text: str) -> str:
    return text.replace("_", r"\_").replace("→", r"$\to$")
