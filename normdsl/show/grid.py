"""A table of short texts, written as text, HTML, LaTeX and Markdown."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import attrs

from normdsl.show.colours import Tone

_LEFT = "style='text-align:left'"


@attrs.frozen(repr=False)
class Grid:
    """A table.

    Args:
        head: the names of the columns. rows: the cells, as text.
        latex: the cells as LaTeX, where they differ from text; of the same shape as `rows`.
        notes: sentences below it. title: what stands above it, as text.
        tones: which cells are answers, and how good, by their text: these are coloured.
        tips: what is shown when the mouse rests on a cell, by its text.
        ruled: whether the heads of a text are underlined.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    latex: Sequence[Sequence[str]] | None = None
    notes: Sequence[str] = ()
    title: str = ""
    tones: Mapping[str, Tone] = attrs.field(factory=dict)
    tips: Mapping[str, str] = attrs.field(factory=dict)
    ruled: bool = False

    def text(self, head: bool = True) -> str:
        """Return the table in columns of spaces."""
        rows = [list(self.head), *map(list, self.rows)] if head else self.rows
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        if head and self.ruled:
            lines.insert(1, "─" * max(map(len, lines)))
        return "\n".join([*([self.title] if self.title else []), *lines, *self.notes])

    def pieces(self, width: int | None = None) -> list[str]:
        """Return the text as tables no wider than `width`, each with the first column."""
        found, first = [], 1
        while first < len(self.head):
            last = len(self.head)
            while last > first + 1 and width and _wide(self._columns(first, last)) > width:
                last -= 1
            found.append(self._columns(first, last).text())
            first = last
        return found

    def _columns(self, first: int, last: int) -> Grid:
        """Return the first column and those from `first` to before `last`."""
        cut = [[row[0], *row[first:last]] for row in (self.head, *self.rows)]
        return Grid(cut[0], cut[1:], ruled=self.ruled)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return str(self)

    def html(self) -> str:
        """Return an HTML table and its notes as paragraphs."""
        head = "".join(f"<th {_LEFT}>{html.escape(c)}</th>" for c in self.head)
        rows = "".join("<tr>" + "".join(map(self._cell, row)) + "</tr>" for row in self.rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"

    def _cell(self, text: str) -> str:
        tip = f" title='{html.escape(self.tips[text])}'" if text in self.tips else ""
        tone = self.tones.get(text)
        style = f"style='text-align:left;color:{tone.page};font-weight:600'" if tone else _LEFT
        return f"<td {style}{tip}>{html.escape(text)}</td>"

    def _repr_html_(self) -> str:
        return self.html()

    def array(self) -> str:
        """Return a LaTeX array in a display, without the notes."""
        rows = [[upright(c) for c in self.head], *(self.latex or self._texts())]
        lines = [" & ".join(row) for row in rows]
        head, *body = lines
        return (
            f"$$\\begin{{array}}{{{'l' * len(self.head)}}}\n{head} \\\\ \\hline\n"
            + " \\\\\n".join(body)
            + "\n\\end{array}$$"
        )

    def _texts(self) -> list[list[str]]:
        return [[upright(c) for c in row] for row in self.rows]

    def _repr_latex_(self) -> str:
        return self.array()

    def markdown(self) -> str:
        """Return a Markdown table and its notes as paragraphs."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        table = "\n".join(
            "| " + " | ".join(c.replace("|", r"\|") for c in row) + " |" for row in lines
        )
        return "\n\n".join([table, *self.notes])


def _wide(grid: Grid) -> int:
    return max(map(len, grid.text().splitlines()))


def upright(text: str) -> str:
    """Return text for a LaTeX formula."""
    plain = text.replace("_", r"\_").replace("→", r"$\to$")
    return rf"\text{{{plain}}}"
