"""Verdicts as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Status, Verdict

STYLES = {
    Status.INVARIANT: "bold green",
    Status.CONDITIONAL: "yellow",
    Status.REFUTED: "red",
    Status.UNKNOWN: "dim",
}
MARKS = {
    Status.INVARIANT: "yes",
    Status.CONDITIONAL: "if ",
    Status.REFUTED: "no",
    Status.UNKNOWN: "?",
}


def answer(verdict: Verdict) -> Text:
    """Return the whole answer, coloured."""
    return Text(verdict.answer, style=STYLES[verdict.status])


def mark(verdict: Verdict) -> Text:
    """Return the answer in a word, for the cell of a matrix."""
    short = verdict.answer.removeprefix("invariant if ")
    conditional = verdict.status is Status.CONDITIONAL
    text = MARKS[verdict.status] + (short if conditional else "")
    return Text(text, style=STYLES[verdict.status])


def report_table(report: Report) -> Table:
    """Return one row per verdict, with its reason."""
    table = Table(show_edge=False, pad_edge=False)
    for column in ("group", "verdict", "because"):
        table.add_column(column, overflow="fold")
    for verdict in report:
        table.add_row(verdict.group.name, answer(verdict), verdict.because)
    return table


def matrix_table(reports: Iterable[Report]) -> Table:
    """Return one row per rule and one column per group."""
    listed = list(reports)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for verdict in listed[0]:
        table.add_column(verdict.group.name)
    for report in listed:
        name = report.verdicts[0].declaration.name
        table.add_row(name, *(mark(v) for v in report))
    return table
