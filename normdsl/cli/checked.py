"""What `normdsl check` decides and shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from normdsl.cli.tables import comparison_tables, framed
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check, named_apart
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.show.progress import bar

#: No assumptions.
NOTHING: Mapping[str, Any] = {}


def decided(
    rules: Sequence[Declaration], wanted: str | None = None, fixed: Mapping[str, Any] = NOTHING
) -> Report:
    """Return the verdicts on rules, for the wanted groups or for all, while a bar tells how far."""
    named_apart(*rules)
    asked = [(rule, group) for rule in rules for group in groups.several(wanted)]
    with bar(Console(stderr=True)) as progress:
        told = progress.track(asked, description="verdicts")
        verdicts = [check(rule, group, **fixed) for rule, group in told]
    return Report(tuple(v for v in verdicts if isinstance(v, Verdict)))


def print_report(report: Report, console: Console) -> None:
    """Print one verdict at length, those on one rule as a table, those on several as a matrix."""
    if len(report) == 1:
        console.print(next(iter(report)).text(console.width), markup=False, soft_wrap=True)
        return
    if len(report.declarations) == 1:
        console.print(framed(report.grid()))
    else:
        for table in comparison_tables(report, console.width):
            console.print(table)
            console.print()
    for note in report.notes:
        console.print(note, markup=False)


def missing(report: Report, required: Sequence[str]) -> list[str]:
    """Return what is required and not proved, a sentence for each; conditions do not count."""
    wanted = groups.several(",".join(required)) if required else []
    return [
        f"required: {v.declaration.name} is not proved invariant under {v.group.name}: {v.answer}"
        for v in report
        if v.group in wanted and not v.invariant
    ]


def as_data(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON has it."""
    return {
        "rule": verdict.declaration.name,
        "group": verdict.group.name,
        "status": verdict.status.name.lower(),
        "answer": verdict.answer,
        "because": verdict.because,
        "proof": [str(line) for line in verdict.proof],
        "witness": None if verdict.witness is None else str(verdict.witness),
    }


def assumption(text: str) -> tuple[str, Any]:
    """Return the name and the value of an assumption, eps=0.

    Raises:
        NormdslError: if it is not one.
    """
    name, _, value = text.partition("=")
    if not (name and value):
        raise NormdslError(
            f"assume {text!r}",
            why="it is not name=value",
            hint="write --assume eps=0, or --assume transported=L,R",
        )
    try:
        return name, float(value)
    except ValueError:
        return name, value
