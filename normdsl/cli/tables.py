"""Verdicts as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from normdsl.cli.plain import said
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
    return Text(said(verdict.answer), style=STYLES[verdict.status])


def mark(verdict: Verdict) -> Text:
    """Return the answer in a word, for the cell of a matrix."""
    short = verdict.answer.removeprefix("invariant if ")
    conditional = verdict.status is Status.CONDITIONAL
    text = MARKS[verdict.status] + (short if conditional else "")
    return Text(said(text), style=STYLES[verdict.status])


def report_table(report: Report) -> Table:
    """Return one row per verdict, with its reason."""
    table = Table(show_edge=False, pad_edge=False)
    for column in ("group", "verdict", "because"):
        table.add_column(column, overflow="fold")
    for verdict in report:
        table.add_row(verdict.group.name, answer(verdict), said(verdict.because))
    return table


def comparison_tables(report: Report, width: int) -> Iterator[Table]:
    """Yield tables with one row per group and one column per rule, as many as fit the width."""
    rules = report.declarations
    fit = max(1, (width - 20) // 20)
    for first in range(0, len(rules), fit):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("group", no_wrap=True)
        shown = rules[first : first + fit]
        for rule in shown:
            table.add_column(rule.name, overflow="fold")
        for group in report.groups:
            table.add_row(group.name, *(mark(report[rule.name, group.name]) for rule in shown))
        yield table
