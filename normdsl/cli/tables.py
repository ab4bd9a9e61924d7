"""Verdicts as tables on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from normdsl.cli.plain import said
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.show.grid import Grid


def framed(grid: Grid) -> Table:
    """Return a table with lines between its columns, folded to the width of the terminal."""
    table = Table(show_edge=False, pad_edge=False)
    for k, name in enumerate(grid.head):
        table.add_column(name, overflow="fold", no_wrap=k == 0)
    for row in grid.rows:
        table.add_row(*(_cell(text, grid) for text in row))
    return table


def _cell(text: str, grid: Grid) -> Text:
    tone = grid.tones.get(text)
    return Text(said(text), style=tone.terminal if tone else "")


def coloured(block: str | Grid) -> Text:
    """Return a table in columns of spaces, or any text, with the answers of a table coloured."""
    shown = Text(str(block))
    for text, tone in block.tones.items() if isinstance(block, Grid) else ():
        shown.highlight_regex(rf"(?m)(?<=  ){re.escape(text)}(?=  |$)", tone.terminal)
    return shown


def mark(verdict: Verdict) -> str:
    """Return the answer in a word, or its condition, for the cell of a matrix."""
    conditional = verdict.status is Status.CONDITIONAL
    return verdict.answer.removeprefix("invariant ") if conditional else verdict.status.mark


def comparison_tables(report: Report, width: int) -> Iterator[Table]:
    """Yield tables with one row per group and one column per rule, as many as fit the width."""
    rules = report.declarations
    fit = max(1, (width - 20) // 20)
    tones = {mark(v): v.status.tone for v in report}
    found = {(v.declaration, v.group): mark(v) for v in report}  # none where a group does nothing
    for first in range(0, len(rules), fit):
        shown = rules[first : first + fit]
        rows = [[g.name, *(found.get((r, g), "") for r in shown)] for g in report.groups]
        yield framed(Grid(["group", *(r.name for r in shown)], rows, tones=tones))
