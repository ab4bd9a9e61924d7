"""Experiments on the command line: progress, results, pictures, a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import attrs
from rich.console import Console

from normdsl.cli.tables import framed
from normdsl.errors import NormdslError
from normdsl.experiments.catalogue import EXPERIMENTS, named
from normdsl.experiments.experiment import Experiment
from normdsl.experiments.figure import draw
from normdsl.experiments.page import tables, write
from normdsl.experiments.results import read, results
from normdsl.experiments.study import study
from normdsl.show.progress import bar


def reproduce(
    console: Console,
    names: Iterable[str],
    folder: Path,
    page: Path | None,
    steps: int | None,
    seeds: int,
    only: str,
    minutes: float | None,
) -> None:
    """Run experiments, one after the other, and show all that a folder has.

    Args:
        names: of experiments. folder: of results. page: where a page on them is saved, if wanted.
        steps: of each run; None for the experiment's own. seeds: how many runs count.
        only: a regular expression that names of methods must match. minutes: of each experiment.

    Raises:
        NormdslError: for an unknown experiment, or a folder with results of other settings.
    """
    options = {"seeds": tuple(range(1, seeds + 1))} | ({} if steps is None else {"steps": steps})
    for experiment in [named(name)(**options) for name in names]:
        _run(console, _matching(experiment, only), folder, minutes)
    found = [
        (named(name)(), read(path))
        for name in EXPERIMENTS
        if (path := folder / f"{name}.jsonl").exists()
    ]
    for experiment, known in found:
        draw(experiment, known, folder / f"{experiment.name}.png")
        for title, grid in tables(experiment, known, {}):
            console.print(f"\n[bold]{experiment.title}: {title}")
            console.print(framed(grid))
            console.print(*grid.notes, markup=False)
    if page is not None:
        write(found, folder, page)


def _run(console: Console, experiment: Experiment, folder: Path, minutes: float | None) -> None:
    kept = results(experiment, folder / f"{experiment.name}.jsonl")
    with bar(Console(stderr=True)) as progress:
        ticks = progress.add_task(experiment.name, total=experiment.runs)

        def tick(what: str) -> None:
            progress.update(ticks, advance=1, description=what)

        done = study(experiment, kept, tick, minutes)
    if not done:
        console.print(f"{experiment.name} is not finished: the same command goes on with it.")


def _matching(experiment: Experiment, only: str) -> Experiment:
    try:
        wanted = re.compile(only)
    except re.error as error:
        raise NormdslError(
            f"run methods that match {only!r}",
            why=f"it is no regular expression: {error}",
            hint="write --only muon, or --only 'adam|muon'",
        ) from None
    kept = tuple(m for m in experiment.methods if wanted.search(m.name))
    if not kept:
        raise NormdslError(
            f"run methods that match {only!r}",
            why="no method does",
            hint="there are " + ", ".join(m.name for m in experiment.methods),
        )
    return attrs.evolve(experiment, methods=kept)
