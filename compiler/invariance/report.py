"""Reports: verdicts over several groups, as text, HTML and LaTeX tables."""

from __future__ import annotations

import html
from collections.abc import Iterator

import attrs

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.errors import NormdslError

_COLOURS = {
    Status.INVARIANT: "#1a7f37",
    Status.CONDITIONAL: "#9a6700",
    Status.REFUTED: "#cf222e",
    Status.UNKNOWN: "#57606a",
}


@attrs.frozen(repr=False)
class Report:
    """Verdicts of one or several declarations, in order."""

    verdicts: tuple[Verdict, ...]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, group: Group | str) -> Verdict:
        """Return the verdict for a group.

        Raises:
            NormdslError: if the report has none.
        """
        name = group if isinstance(group, str) else group.name
        for verdict in self.verdicts:
            if verdict.group.name == name:
                return verdict
        raise NormdslError(
            f"look up the group {name!r}",
            why="the report has no verdict for it",
            hint="it has " + ", ".join(v.group.name for v in self.verdicts),
        )

    def __str__(self) -> str:
        rows = [(v.declaration.name, v.group.name, v.answer, v.because) for v in self.verdicts]
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(
            "  ".join(
                [*(c.ljust(w) for c, w in zip(row[:3], widths, strict=True)), row[3]]
            ).rstrip()
            for row in rows
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        names = ("rule", "group", "verdict", "because")
        head = "".join(f"<th style='text-align:left'>{c}</th>" for c in names)
        body = "".join(_html_row(v) for v in self.verdicts)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_latex_(self) -> str:
        rows = [
            rf"\text{{{_plain(v.declaration.name)}}} & \text{{{_plain(v.group.name)}}} & "
            rf"\text{{{_plain(v.answer)}}}"
            for v in self.verdicts
        ]
        return "$$\\begin{array}{lll}\n" + " \\\\\n".join(rows) + "\n\\end{array}$$"


def _html_row(verdict: Verdict) -> str:
    left = "text-align:left"
    cells = [
        f"<td style='{left}'>{html.escape(verdict.declaration.name)}</td>",
        f"<td style='{left}' title='{html.escape(verdict.group.formula)}'>"
        f"{html.escape(verdict.group.name)}</td>",
        f"<td style='{left};color:{_COLOURS[verdict.status]};font-weight:600'>"
        f"{html.escape(verdict.answer)}</td>",
        f"<td style='{left}'>{html.escape(verdict.because)}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _plain(text: str) -> str:
    return text.replace("_", r"\_")
