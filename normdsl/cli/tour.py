"""The tour: from ten lines to a trained model, in under 90 seconds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from torch import Tensor

from normdsl.cli import rule as written
from normdsl.cli.digits import Data, Run, Tick, digits, network, train
from normdsl.cli.figure import Contrast, draw
from normdsl.cli.find import shipped
from normdsl.cli.tables import comparison_tables, framed
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check, compare
from normdsl.declaration import Declaration
from normdsl.show.grid import Grid

TABLE = ("sgd", "adamw", "muon", "one_sided_shampoo", "muadam", "muadam_sania")
#: Rules of the experiment, with learning rates tuned on the raw features. With eps = 0, where the
#: checker promises scale invariance; exactly zero second moments (dead pixels) give zero steps.
CONTESTANTS: dict[str, dict[str, float]] = {
    "adamw": {"lr": 3e-3, "eps": 0.0},
    "muon": {"lr": 0.02},
    "muadam": {"lr": 1e-3, "eps": 0.0},
    "muadam_sania": {"lr": 2e-5, "eps": 0.0},
}
HIDDEN = 64


def tour(console: Console, picture: Path, steps: int) -> list[Contrast]:
    """Show the whole of normdsl on one rule; save the picture; return what was measured."""
    rules = shipped()
    _declare(console)
    _verdicts(console, [rules[name] for name in TABLE])
    _code(console)
    contrasts = _experiment(console, rules, steps)
    draw(contrasts, picture)
    console.print(f"\nThe picture is in [bold]{picture}[/bold].")
    return contrasts


def _declare(console: Console) -> None:
    console.rule("[bold]1. Ten lines that read like the paper")
    console.print(
        Syntax(Path(written.__file__).read_text(encoding="utf-8"), "python", theme="ansi_light")
    )
    console.rule("[bold]2. The mathematics they mean")
    console.print(str(written.muadam_sania), highlight=False, markup=False)


def _verdicts(console: Console, rules: list[Declaration]) -> None:
    console.rule("[bold]3. What is proved, and what is refuted")
    report = compare(*rules)
    for table in comparison_tables(report, console.width):
        console.print(table)
    console.print("\nWhy, for scale (W = S ∘ W̃):")
    for rule in rules:
        console.print(f"  [bold]{rule.name}[/bold]: ", end="")
        console.print(report[rule.name, "scale"].because, markup=False)
    refuted = check(rules[1], groups.scale)
    assert isinstance(refuted, Verdict)
    assert refuted.witness is not None
    console.print(f"\nA counterexample, {rules[1].name} under scale: {refuted.witness}.")
    replayed = ", ".join(f"{d:.3g}" for d in refuted.witness.replay())
    console.print(f"Replayed from its seed, distance at each step: {replayed}.", highlight=False)


def _code(console: Console) -> None:
    console.rule("[bold]4. The torch code it becomes")
    code = written.muadam_sania.source(shape=(HIDDEN, 64))
    console.print(Syntax(code, "python", theme="ansi_light"))


def _experiment(console: Console, rules: dict[str, Declaration], steps: int) -> list[Contrast]:
    console.rule("[bold]5. Training on digits, in two systems of units")
    console.print(
        f"Two layers, {HIDDEN} hidden units, {steps} steps, float64. Each feature is multiplied by "
        "its own factor 10^U(−2, 2); the first layer starts divided by the same factors, so both "
        "networks begin as the same function. ε = 0 throughout."
    )
    data = digits()
    generator = torch.Generator().manual_seed(1)
    factors = 10 ** (4 * torch.rand(64, generator=generator, dtype=torch.float64) - 2)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn())
    contrasts = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for name, hyper in CONTESTANTS.items():
            task = progress.add_task(name, total=2 * steps)
            tick = partial(progress.advance, task)
            contrasts.append(_contrast(rules[name], data, factors, steps, tick, hyper))
    console.print(_result_table(contrasts))
    return contrasts


def _contrast(
    rule: Declaration,
    data: Data,
    factors: Tensor,
    steps: int,
    tick: Tick,
    hyper: dict[str, Any],
) -> Contrast:
    """Train on raw and on rescaled features from the same function; compare trajectories."""
    runs = []
    for scale in (torch.ones_like(factors), factors):
        model = network(HIDDEN, seed=0, bias=False)
        with torch.no_grad():
            next(model.parameters()).div_(scale)
        runs.append(
            train(model, data.rescaled(scale), [rule(model.parameters(), **hyper)], steps, tick)
        )
    raw, rescaled = runs
    assumed = {k: v for k, v in hyper.items() if k == "eps"}
    verdict = check(rule, groups.scale, **assumed)
    assert isinstance(verdict, Verdict)
    return Contrast(
        rule.name, raw.losses, rescaled.losses, distance(raw, rescaled, factors),
        raw.accuracy, rescaled.accuracy, verdict.answer,
    )  # fmt: skip


def distance(raw: Run, rescaled: Run, factors: Tensor) -> float:
    """Return the trajectories' largest distance over all steps, in raw units, relative to W."""
    largest = 0.0
    for a, b in zip(raw.weights, rescaled.weights, strict=True):
        mapped = [b[0] * factors, *b[1:]]
        gap = sum(float((x - y).square().sum()) for x, y in zip(a, mapped, strict=True))
        size = sum(float(x.square().sum()) for x in a)
        largest = max(largest, (gap / size) ** 0.5)
    return largest


def _result_table(contrasts: list[Contrast]) -> Table:
    head = ("rule", "scale (checker)", "largest distance", "test, raw", "test, rescaled")
    accuracies = ((f"{c.raw_accuracy:.1%}", f"{c.rescaled_accuracy:.1%}") for c in contrasts)
    rows = [
        (c.name, c.verdict, f"{c.distance:.1e}", *pair)
        for c, pair in zip(contrasts, accuracies, strict=True)
    ]
    return framed(Grid(head, rows))
