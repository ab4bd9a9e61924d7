"""The tour: from ten lines to a trained model, in under 90 seconds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from normdsl.cli import rule as written
from normdsl.cli.checked import decided
from normdsl.cli.figure import draw
from normdsl.cli.find import shipped
from normdsl.cli.folding import formulas, print_code
from normdsl.cli.tables import comparison_tables, framed
from normdsl.cli.units import HIDDEN, RATES, SPREADS, Fate, fate, tuned
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check
from normdsl.declaration import Declaration
from normdsl.show.grid import Grid
from normdsl.show.progress import bar
from normdsl.training.digits import digits

TABLE = ("sgd", "adamw", "muon", "muadam", "muadam_sania", "bounded_muadam_sania")
#: Rules of the experiment, with the rates that `normdsl tour --tune` finds. The paper's rule has
#: ε = 0, with which it is invariant; with its own ε it trains with none of these rates.
CONTESTANTS: dict[str, tuple[float, dict[str, float]]] = {
    "adamw": (3e-2, {}),
    "muon": (3e-2, {}),
    "muadam": (3e-3, {}),
    "muadam_sania": (1e-5, {"eps": 0.0}),
    "bounded_muadam_sania": (3e-4, {}),
}


def tour(console: Console, picture: Path, steps: int, tune: bool = False) -> list[Fate]:
    """Show the whole of normdsl on one rule; save the picture; return what was measured."""
    rules = shipped()
    _declare(console)
    _verdicts(console, [rules[name] for name in TABLE])
    _code(console)
    fates = _experiment(console, rules, steps, tune)
    draw(fates, picture)
    console.print(f"\nThe picture is in [bold]{picture}[/bold].")
    return fates


def _declare(console: Console) -> None:
    console.rule("[bold]1. Ten lines that read like the paper")
    print_code(console, Path(written.__file__).read_text(encoding="utf-8"))
    console.rule("[bold]2. The mathematics they mean")
    told = formulas(str(written.bounded_muadam_sania), console.width)
    console.print(told, highlight=False, markup=False)


def _verdicts(console: Console, rules: list[Declaration]) -> None:
    console.rule("[bold]3. What is proved, and what is refuted")
    report = decided(rules)
    for table in comparison_tables(report, console.width):
        console.print(table)
    console.print("\nWhy, for scale (W = S ∘ W̃):")
    for rule in rules:
        told = f"  {rule.name}: {report[rule.name, 'scale'].because}"
        reason = Text(formulas(told, console.width))
        reason.stylize("bold", 2, 2 + len(rule.name))
        console.print(reason)
    refuted = check(rules[1], groups.scale)
    assert isinstance(refuted, Verdict)
    assert refuted.witness is not None
    console.print(f"\nA counterexample, {rules[1].name} under scale: {refuted.witness}.")
    replayed = ", ".join(f"{d:.3g}" for d in refuted.witness.replay())
    console.print(f"Replayed from its seed, distance at each step: {replayed}.", highlight=False)


def _code(console: Console) -> None:
    console.rule("[bold]4. The torch code it becomes")
    print_code(console, written.bounded_muadam_sania.source(shape=(HIDDEN, 64)))


def _experiment(
    console: Console, rules: dict[str, Declaration], steps: int, tune: bool
) -> list[Fate]:
    console.rule("[bold]5. Training on digits, in stranger and stranger units")
    console.print(
        f"Two layers, {HIDDEN} hidden units, {steps} steps, float64. Every pixel is multiplied by "
        "its own factor 10^U(−s, s), and the first layer starts divided by the same factors, so "
        "that all networks begin as the same function. Rates are those with which a rule does "
        f"best at s = 0, of {len(RATES)} from {RATES[0]:g} to {RATES[-1]:g}"
        + (", tuned now." if tune else " (`normdsl tour --tune` finds them anew).")
    )
    data = digits()
    fates = []
    with bar(console) as progress:
        for name, (known, fixed) in CONTESTANTS.items():
            total = len(SPREADS) + (len(RATES) if tune else 0)
            tick = partial(progress.advance, progress.add_task(name, total=total))
            rule = rules[name].bind(**fixed)
            assert isinstance(rule, Declaration)
            rate = tuned(rule, data, steps, tick) if tune else known
            fates.append(fate(rule, rate, data, steps, tick))
    console.print(_result_table(fates))
    console.print(
        "\nmuadam_sania has ε = 0 here; with its own, 1e-8, it diverges at each of these rates. "
        "Accuracies of rules that are not invariant fall with s; an invariant rule takes one and "
        "the same path. What it needs is a start in the same units, which it learns from W: where "
        "the first layer starts as ever and its features do not, none of the rules is spared."
    )
    return fates


def _result_table(fates: list[Fate]) -> Table:
    head = ("rule", "lr", "scale", *(f"s = {s}" for s in SPREADS))
    rows = [(f.name, f"{f.rate:g}", f.verdict, *(f"{a:.1%}" for a in f.accuracies)) for f in fates]
    return framed(Grid(head, rows))
