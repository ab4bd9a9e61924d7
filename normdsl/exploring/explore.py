"""`nd.explore`: a grid of designs, checked first, then trained by successive halving."""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from normdsl.compiler.invariance import groups as known_groups
from normdsl.compiler.invariance.groups import Group
from normdsl.errors import NormdslError, shown
from normdsl.exploring.clock import Clock, seconds
from normdsl.exploring.designs import Choices, grid
from normdsl.exploring.ledger import Ledger
from normdsl.exploring.merging import merged
from normdsl.exploring.needed import needed
from normdsl.exploring.rounds import Plan
from normdsl.exploring.session import Session, Tell
from normdsl.exploring.trials import TASKS, MakeTask
from normdsl.exploring.worker import axes, beside, reference, tellable, written
from normdsl.near import did_you_mean
from normdsl.show.progress import bar
from normdsl.version import __version__

if TYPE_CHECKING:
    from normdsl.exploring.frame import Exploration

Groups = Group | str | Iterable[Group | str] | None


def explore(
    norms: Choices = None,
    preconditioners: Choices = None,
    momenta: Choices = None,
    steps: Choices = None,
    *,
    require: Groups = (),
    groups: Groups = ("orthogonal", "scale", "loss_scale"),
    task: str | MakeTask = "digits",
    budget: str | float = "5m",
    study: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    rounds: Iterable[int] = (12, 48, 180),
    finalists: int = 8,
    seeds: int = 5,
) -> Exploration:
    """Try every design of a grid: check it, then train those that are left; return a frame.

    A design is a declaration: `step(lr, preconditioner(norm), momentum(G))`. Those that cannot be
    declared, are equal to another by normal form, or are not proved invariant under what is
    required, are discarded before anything is trained. The others are trained on a small task by
    successive halving: every design of a round has the same steps, batches and number of rates,
    and the best quarter goes on. Finalists are trained with seeds that no rate was chosen by.

    Args:
        norms: norms or names of those that come along; or a mapping from names of one's own.
        preconditioners: names, or functions of a norm that return one. momenta: names, or functions
            of the gradient. steps: names, or functions (lr, norm, m) → new weights. Further
            arguments of these are hyper-parameters. Each is all that come along, if left out.
        require: groups under which a design must be proved invariant, without conditions.
        groups: others to give verdicts of, for designs that reach the second round.
        task: "digits", "chars", or a function (steps, seed) → `Task`.
        budget: wall clock of the study, all in: "5m", "90s", or seconds.
        study: an SQLite file, or a database's URL, which several processes and machines may share;
            what is there is resumed, and a larger budget goes on where a smaller one ended.
        workers: processes; default one a core, or one if others cannot be told of a task or group.
        rounds: steps of training in each round. finalists: how many. seeds: of each finalist.

    Raises:
        NormdslError: for what is not known, a study of another grid, or a missing package.

    Example:
        >>> import normdsl as nd
        >>> found = nd.explore(
        ...     ["frobenius"], ["none", "adam"], ["average"], ["sharp"], require="loss_scale",
        ...     budget="20s", workers=1, rounds=(5,), seeds=2
        ... )
        >>> list(found.loc["frobenius_adam_average_sharp", ["fate", "loss_scale"]])
        ['finalist', 'invariant']
    """
    begun = time.time()
    needed("pandas")
    from normdsl.exploring.frame import Exploration

    chosen, names = _task(task)
    asked = tuple(known_groups.several(require) if require else ())
    others = tuple(g for g in (known_groups.several(groups) if groups else ()) if g not in asked)
    plan = Plan(tuple(rounds), finalists=finalists, seeds=seeds)
    length = seconds(budget)
    with _progress() as tell, _one_thread():
        tell("designs", 0, 1)
        designs = grid(norms, preconditioners, momenta, steps)
        equal = merged(designs)
        going = [d for d in designs if d.rule is not None and d.name not in equal]
        # In an order of chance, so that a round that time ends is a sample of its designs.
        random.Random(0).shuffle(going)
        with _url(study) as url:
            ledger = Ledger(url, axes(designs))
            texts = written(going)
            _agree(ledger, url, texts, (names, asked, others, plan))
            clock = Clock(length, ledger.spent(), begun)
            session = Session(
                ledger,
                {d.name: d for d in going},
                plan,
                chosen,
                clock,
                asked,
                others,
                _processes(workers, chosen, (*asked, *others)),
                random.random(),
                tell,
            )
            if clock.left > 0:
                with beside(session, url, texts):
                    session.work()
                ledger.note("ended", {"elapsed": clock.now})
            return Exploration.of(designs, equal, session, names)


def _task(task: str | MakeTask) -> tuple[MakeTask, str]:
    if callable(task):
        return task, getattr(task, "__name__", "a task")
    if task in TASKS:
        return TASKS[task], task
    raise NormdslError(
        f"explore on the task {shown(task)}",
        why="there is none of that name",
        hint=did_you_mean(task, TASKS, "there are") + "; or pass a function (steps, seed) → Task",
    )


def _processes(workers: int | None, task: MakeTask, groups: Iterable[Group]) -> int:
    """Return how many processes work on a study; one, if others cannot be told of what it does."""
    tell = reference(task) is not None and tellable(groups)
    if workers is None:
        return _cores() if tell else 1
    if workers > 1 and not tell:
        raise NormdslError(
            f"explore with {workers} processes",
            why="others cannot import the task, or do not know a group of one's own",
            hint="define the task in a module, use nd.groups, or leave out workers=",
        )
    return max(1, workers)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _url(study: str | os.PathLike[str] | None) -> Iterator[str]:
    """Yield the URL of a study's database; without one, of a file that is removed afterwards."""
    if study is None:
        with tempfile.TemporaryDirectory(prefix="normdsl") as folder:
            yield f"sqlite:///{folder}/study.db"
        return
    text = os.fspath(study)
    yield text if "://" in text else f"sqlite:///{Path(text).absolute()}"


def _agree(ledger: Ledger, url: str, texts: Mapping[str, Any], settings: Any) -> None:
    """Refuse a study of other designs or settings.

    Raises:
        NormdslError: if it is.
    """
    names, require, groups, plan = settings
    told = {
        "designs": sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16],
        "task": names,
        "require": [g.name for g in require],
        "groups": [g.name for g in groups],
        "rounds": list(plan.steps),
        "finalists": plan.finalists,
        "seeds": plan.seeds,
        "normdsl": __version__,
        "torch": torch.__version__,
    }
    known = ledger.notes().get("settings")
    if known is None:
        ledger.note("settings", told)
    elif known != told:
        differ = ", ".join(k for k in told if known.get(k) != told[k])
        raise NormdslError(
            f"resume the study {url}",
            why=f"it was begun with other {differ}",
            hint="pass the arguments it was begun with, or another study=",
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch compute in one thread: the models are small, and processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _progress() -> Iterator[Tell]:
    """Yield what shows a bar for the stage that a study is in, on a terminal or in a notebook."""
    with bar(Console(stderr=True)) as progress:
        task = progress.add_task("", total=1)

        def tell(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)

        yield tell
