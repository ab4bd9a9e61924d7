"""The command `normdsl`."""

from __future__ import annotations

import enum
import sys
from json import dumps
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from normdsl.cli.find import families, find, find_all, shipped
from normdsl.cli.folding import formulas, print_code, prose
from normdsl.cli.plain import named_symbols, plain
from normdsl.declaration import Declaration
from normdsl.declarations.display import described
from normdsl.errors import NormdslError
from normdsl.show.colours import Tone
from normdsl.show.progress import bar
from normdsl.training.choices import Course, Dataset, chosen
from normdsl.version import __version__

if TYPE_CHECKING:
    from normdsl.compiler.invariance.verdict import Verdict
    from normdsl.declarations.rule import Rule

app = typer.Typer(
    help="Optimizers as mathematics: show them, prove their invariances, run them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

Name = Annotated[str, typer.Argument(help="A rule's name, or file.py:name for one of your own.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _version(asked: bool) -> None:
    if asked:
        print(f"normdsl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Optimizers as mathematics: show them, prove their invariances, run them."""


@app.command("list")
def list_rules(json: Json = False) -> None:
    """List the rules that come with normdsl, by family."""
    if json:
        print(dumps({k: [*rules] for k, rules in families().items()}, indent=1))
        return
    for family, rules in families().items():
        table = Table(show_header=False, show_edge=False, pad_edge=False, box=None)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, rule in rules.items():
            table.add_row(f"  {name}", Text(rule.doc.split("\n\n")[0].replace("\n", " ")))
        console.print(Text(family.replace("\n", " ")))
        console.print(table)


@app.command()
def show(name: Name) -> None:
    """Show a rule's mathematics and its description."""
    rule = find(name)
    console.print(formulas(str(rule), console.width), markup=False)
    if rule.doc:
        console.print("\n" + prose(described(rule.doc), console.width), markup=False)


@app.command()
def check(
    names: Annotated[
        list[str],
        typer.Argument(help="Rules, file.py:name, or file.py for all in it; several are compared."),
    ],
    group: Annotated[str | None, typer.Option(help="One group: with proof or witness.")] = None,
    assume: Annotated[
        list[str] | None, typer.Option(help="eps=0, or transported=L,R; repeatable.")
    ] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 unless this group is proved; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Prove or refute the invariances of rules; `all` stands for those that come along."""
    from normdsl.cli.checked import as_data, assumption, decided, missing, print_report

    fixed = dict(assumption(text) for text in assume or [])
    rules = [*shipped().values()] if names == ["all"] else [x for n in names for x in find_all(n)]
    wanted = ",".join([*filter(None, [group]), *(require or [])]) or None
    report = decided(rules, wanted, fixed)
    if json:
        print(dumps([as_data(v) for v in report], indent=1))
    else:
        print_report(report, console)
    if complaints := missing(report, require or []):
        Console(stderr=True, highlight=False).print("\n".join(complaints), markup=False)
        raise typer.Exit(1)


class Format(enum.StrEnum):
    """How a table is written."""

    TEXT = "text"
    HTML = "html"
    LATEX = "latex"
    MARKDOWN = "markdown"


@app.command()
def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Rules; default those of arXiv:2510.10777, Table 1.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.TEXT,
) -> None:
    """Set rules side by side: norms, preconditioners, degrees, verdicts; computed once."""
    from normdsl.cli.table_one import table_one
    from normdsl.compiler.comparison.remembered import remembered
    from normdsl.compiler.comparison.table import table as compute
    from normdsl.experiments.methods import BEYOND, SIXTEEN

    with bar(Console(stderr=True)) as progress:
        ticks = progress.add_task("rules", total=len(names or SIXTEEN + BEYOND))

        def decide(rule: Rule) -> tuple[Verdict, ...]:
            found = remembered(rule)
            progress.advance(ticks)
            return found

        given = [find(name) for name in names or ()]
        found = compute(given, decide=decide) if names else table_one(decide=decide)
    if form is Format.TEXT:
        print(found.text(console.width))
    else:
        print({"html": found.html, "latex": found.latex, "markdown": found.markdown}[form.value]())


@app.command()
def solve(
    name: Name,
    unknowns: Annotated[str, typer.Argument(help="Hyper-parameters to solve for: p,q.")],
    group: Annotated[str, typer.Option(help="The group.")],
) -> None:
    """Find the values of hyper-parameters that make a rule invariant."""
    from normdsl.compiler.invariance.solve import solve as run

    with _busy("solving"):
        found = run(find(name), group, unknowns)
    console.print(str(found), markup=False, soft_wrap=True)


@app.command()
def repair(
    name: Name, group: Annotated[str, typer.Option(help="The group to be invariant under.")]
) -> None:
    """Find the smallest changes that make a rule invariant, each checked."""
    from normdsl.compiler.invariance.repair import repair as run

    with _busy("trying changes"):
        found = run(find(name), group)
    console.print(str(found), markup=False, soft_wrap=True)


def _busy(what: str) -> Status:
    """Return a sign that something is under way, on a terminal alone."""
    return Console(stderr=True).status(what)


@app.command()
def source(
    name: Name,
    shape: Annotated[str, typer.Option(help="Rows x columns of the weights.")] = "256x512",
) -> None:
    """Print the torch code a rule becomes; it imports torch alone."""
    rows, cross, cols = shape.partition("x")
    if not (cross and rows.isdigit() and cols.isdigit() and int(rows) and int(cols)):
        raise NormdslError(
            f"print the code for shape {shape!r}",
            why="a shape is rows x columns",
            hint="write --shape 256x512",
        )
    code = find(name).source(shape=(int(rows), int(cols)))
    if console.is_terminal:
        print_code(console, code)
    else:
        # Python reads a file as UTF-8, or ASCII, whatever the console it came from.
        print(code if console.encoding.startswith("utf") else plain(code, "ascii"), end="")


@app.command()
def passes(name: Name) -> None:
    """Show a rule after each pass of its lowering, every identity by name."""
    console.print(formulas(str(find(name).passes()), console.width), markup=False)


@app.command()
def eject(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced.")],
    compiled: Annotated[bool, typer.Option("--compile", help="Step by torch.compile.")] = False,
) -> None:
    """Write a rule as one Python file: an optimizer class in plain torch, without normdsl."""
    from normdsl.compiler.eject.eject import class_name
    from normdsl.schedules.schedule import Schedule

    rule = find(name)
    rule.eject(file, Schedule(compile=compiled))
    console.print(f"wrote {file}: the class {class_name(rule)}", markup=False, soft_wrap=True)


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="A dotted name, package.Class, or a rule's name.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An option bound, such as lr=0.1; repeatable.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to save a picture.")] = None,
) -> None:
    """Try any torch optimizer: every group, gradient scale and dtype, its memory and conduct."""
    from normdsl.cli.factory import factory
    from normdsl.cli.tables import block
    from normdsl.compiler.audit.audit import audit as run
    from normdsl.compiler.audit.text import blocks

    told = " ".join([name, *(settings or [])])
    with _busy(f"auditing {told}"):
        result = run(factory(name, settings or []), name=told)
        if picture is not None:
            result.save(picture)
    for k, part in enumerate(blocks(result)):
        console.print(*([""] if k else []), block(part, console.width), sep="\n")


@app.command()
def train(
    name: Name,
    data: Annotated[str, typer.Option(help="What is trained on: digits, chars.")] = "digits",
    lr: Annotated[float | None, typer.Option(help="Learning rate; default the rule's own.")] = None,
    schedule: Annotated[
        str, typer.Option(help="The rate: constant, linear, cosine, wsd.")
    ] = "constant",
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = 300,
    hidden: Annotated[int, typer.Option(min=1, help="Hidden units, for digits.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the split, the start and the batches.")] = 0,
    json: Json = False,
) -> None:
    """Train a small network by a rule, print its test accuracy; exit with 1 if it diverges.

    digits: two layers on images of 8×8 pixels. chars: a transformer on Python's manual.
    """
    from normdsl.training.run import divergence, optimizers_for
    from normdsl.training.run import train as run
    from normdsl.training.tasks import course, task

    rule, courses = find(name), chosen(Course, schedule, "let the rate go by")
    if "lr" not in rule.defaults and not (lr is None and courses is Course.CONSTANT):
        raise NormdslError(
            f"set the learning rate of {rule.name}",
            why="the rule has no hyper-parameter lr",
            hint="leave out --lr and --schedule",
        )
    learnt = task(chosen(Dataset, data, "train on"), hidden, steps, seed)
    optimizers, told = optimizers_for(
        learnt.model, rule, find("adamw"), **({} if lr is None else {"lr": lr})
    )
    if not json:
        console.print(f"{told}; {steps} steps")
    with bar(Console(stderr=True)) as progress:
        ticks = progress.add_task(rule.name, total=steps)
        losses = run(
            learnt, optimizers, steps, course(courses, steps), lambda: progress.advance(ticks)
        )
    score, fault = learnt.score(), divergence(losses)
    if json:
        finite = [x if isfinite(x) else None for x in losses]
        print(dumps({"rule": rule.name, "losses": finite, "score": score, "fault": fault}))
    else:
        console.print(f"loss {losses[0]:.4g} → {losses[-1]:.4g}, ", end="")
        console.print(f"{learnt.measured} [bold]{score:.1%}[/bold]")
    if fault:
        complaint = Text.assemble(("diverged", Tone.BAD.terminal), f": {fault}")
        complaint.append(f"\n  try: {_smaller(rule, lr)}")
        Console(stderr=True, highlight=False).print(complaint)
        raise typer.Exit(1)


def _smaller(rule: Declaration, lr: float | None) -> str:
    """Return what to do about a run that diverged."""
    used = rule.defaults.get("lr") if lr is None else lr
    bound = "bound the step of each entry: nd.clip_entries"
    if not used:
        return bound
    return f"a smaller rate, --lr {used / 10:.1g} or less; if none trains, {bound}"


@app.command()
def explore(
    norm: Annotated[list[str] | None, typer.Option(help="A norm; repeatable; default all.")] = None,
    preconditioner: Annotated[
        list[str] | None, typer.Option(help="A preconditioner; repeatable; default all.")
    ] = None,
    momentum: Annotated[
        list[str] | None, typer.Option(help="A momentum; repeatable; default all.")
    ] = None,
    step: Annotated[list[str] | None, typer.Option(help="A step; repeatable; default all.")] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="A group that must be proved; repeatable.")
    ] = None,
    task: Annotated[str, typer.Option(help="What is trained on: digits, chars.")] = "digits",
    budget: Annotated[str, typer.Option(help="Wall clock, all in: 90s, 5m, 1h30m.")] = "5m",
    study: Annotated[
        str | None,
        typer.Option(help="An SQLite file or a database's URL; resumed, and shared by processes."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default one a core.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each finalist.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Where to write a report, as HTML.")] = None,
) -> None:
    """Explore a grid of designs: check them, train what is left by halving, say how sure it is."""
    from normdsl.cli.explored import show as shown
    from normdsl.exploring.explore import explore as run

    found = run(
        norm or None,
        preconditioner or None,
        momentum or None,
        step or None,
        require=require or (),
        task=task,
        budget=budget,
        study=study,
        workers=workers,
        seeds=seeds,
    )
    shown(found, console)
    if out is not None:
        console.print(f"The report is in [bold]{found.report(out)}[/bold].")


@app.command()
def bench(
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="gpt, small, wide, …; repeatable; or all.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    only: Annotated[str, typer.Option(help="Names to measure, as a regular expression.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="How often all step in turn.")] = 9,
    minutes: Annotated[float | None, typer.Option(help="After these, begin no more.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where to save the measurements.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Where to save a picture.")] = None,
    page: Annotated[Path | None, typer.Option(help="Where to save a page like speed.md.")] = None,
    read: Annotated[
        list[Path] | None, typer.Option(help="Show such measurements, and make none; repeatable.")
    ] = None,
) -> None:
    """Time steps of our rules beside other packages, as ratios, and beside what hardware allows."""
    from normdsl.benchmarks import results
    from normdsl.benchmarks.bench import bench as measure
    from normdsl.benchmarks.figure import draw
    from normdsl.benchmarks.page import write
    from normdsl.benchmarks.table import text

    reports = [results.read(path) for path in read or []]
    reports = reports or [measure(sets or (), device, only, rounds, minutes)]
    for report in reports:
        console.print(formulas(text(report, console.width), console.width), markup=False)
        if json is not None:
            report.write(json)
        if figure is not None:
            draw(report, figure)
    if page is not None:
        write({report.device: report for report in reports}, page)


@app.command()
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="scale, charlm, lora; none to show what was found before."),
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Of results and pictures; what is there is gone on with.")
    ] = Path("experiments"),
    page: Annotated[Path | None, typer.Option(help="Where to save a page on them.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of each run; default the experiment's own.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many runs count, of each method.")] = 3,
    only: Annotated[str, typer.Option(help="Methods to run, as a regular expression.")] = "",
    minutes: Annotated[float | None, typer.Option(help="After these, begin no run.")] = None,
) -> None:
    """Train every method on small problems, tuned alike; a run that was killed goes on."""
    from normdsl.cli.reproduce import reproduce as run

    run(console, names or (), folder, page, steps, seeds, only, minutes)


@app.command()
def tour(
    picture: Annotated[Path, typer.Option(help="Where to save the picture.")] = Path("tour.png"),
    steps: Annotated[int, typer.Option(min=10, help="Training steps per run.")] = 250,
    tune: Annotated[
        bool, typer.Option("--tune", help="Tune the rates anew: some minutes.")
    ] = False,
) -> None:
    """Go from ten lines to a trained model: mathematics, verdicts, code, training, a picture."""
    from normdsl.cli.tour import tour as run

    run(console, picture, steps, tune)


def run() -> None:
    """Run the command line; a `NormdslError` is printed as a message and exits with 2."""
    with named_symbols():
        try:
            app()
        except NormdslError as error:
            title = Text.assemble(("normdsl:", f"bold {Tone.BAD.terminal}"), " cannot ")
            Console(stderr=True, highlight=False).print(title, end="")
            print(error, file=sys.stderr)
            sys.exit(2)
