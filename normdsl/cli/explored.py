"""What `normdsl explore` shows."""

from __future__ import annotations

from rich.console import Console

from normdsl.cli.folding import formulas
from normdsl.cli.tables import framed
from normdsl.compiler.invariance.status import Status
from normdsl.exploring.frame import Exploration
from normdsl.show.grid import Grid


def show(found: Exploration, console: Console) -> None:
    """Print how sure a study is, its finalists, and the formulas of the best."""
    for line in found.summary():
        console.print(line, markup=False, highlight=False)
    if (found["fate"] == "finalist").any():
        console.print(framed(_finalists(found)))
        best = str(found.rule(found.index[0]))
        console.print(formulas(best, console.width), markup=False, highlight=False)


def _finalists(found: Exploration) -> Grid:
    groups = found.about.columns
    head = ("finalist", "loss ± std", "accuracy", "lr", "cost", *groups)
    rows = [
        [
            str(name),
            f"{row['loss']:.3g}" + (f" ± {row['std']:.2g}" if row["seeds"] > 1 else ""),
            f"{row['accuracy']:.1%}",
            f"{row['lr']:.2g}",
            f"{row['cost']:.3g}",
            *(_mark(row[group]) for group in groups),
        ]
        for name, row in found[found["fate"] == "finalist"].iterrows()
    ]
    return Grid(head, rows, tones={status.mark: status.tone for status in Status})


def _mark(answer: str) -> str:
    """Return an answer in a word."""
    if answer.startswith("invariant if"):
        return Status.CONDITIONAL.mark
    known = {status.value: status.mark for status in Status}
    return known.get(answer, "yes" if answer.startswith("invariant") else answer)
