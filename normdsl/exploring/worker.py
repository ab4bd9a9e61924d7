"""Further processes at work on a study: what they are told, and what they do with it.

    python -m normdsl.exploring.worker JOB.json

A job names a task and groups, and has designs as JSON: a process needs nothing of the one that
started it but its file, and ends when that one does.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.groups import Group
from normdsl.declaration import Declaration, from_json
from normdsl.declarations.serial import to_json
from normdsl.exploring.clock import Clock
from normdsl.exploring.designs import Design
from normdsl.exploring.ledger import Ledger
from normdsl.exploring.rounds import Plan
from normdsl.exploring.session import Session
from normdsl.exploring.trials import TASKS, MakeTask


class Written(Mapping[str, Design]):
    """Designs of which the declarations are read when they are asked for.

    Args:
        texts: for each name, the names of its parts, and its rule as JSON.
    """

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self._texts = texts
        self._read: dict[str, Design] = {}

    def __getitem__(self, name: str) -> Design:
        if name not in self._read:
            norm, preconditioner, momentum, step, text = self._texts[name]
            rule = from_json(text)
            self._read[name] = Design(name, norm, preconditioner, momentum, step, rule)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def written(designs: Iterable[Design]) -> dict[str, Any]:
    """Return what `Written` reads."""
    return {
        d.name: (d.norm, d.preconditioner, d.momentum, d.step, to_json(d.rule))
        for d in designs
        if isinstance(d.rule, Declaration)
    }


def reference(task: MakeTask) -> str | None:
    """Return the name by which another process finds a task; None if it has none there."""
    for name, known in TASKS.items():
        if known is task:
            return name
    module, name = getattr(task, "__module__", ""), getattr(task, "__qualname__", "")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return f"{module}:{name}" if found is task and module != "__main__" else None


def tellable(chosen: Iterable[Group]) -> bool:
    """Return whether other processes know groups by their names."""
    return all(group in groups.ALL for group in chosen)


@contextmanager
def beside(session: Session, url: str, texts: Mapping[str, Any]) -> Iterator[None]:
    """Have further processes at work on a session's study for as long as the block runs.

    Args:
        session: what they are to do. url: the study. texts: its designs, as `written`.
    """
    count = session.processes
    if count < 2:
        yield
        return
    job = {
        "url": url,
        "axes": session.ledger.axes,
        "texts": texts,
        "plan": attrs.asdict(session.plan),
        "task": reference(session.task),
        "clock": attrs.asdict(session.clock),
        "require": [g.name for g in session.require],
        "groups": [g.name for g in session.groups],
        "processes": count,
        "parent": os.getpid(),
    }
    with tempfile.TemporaryDirectory(prefix="normdsl") as folder:
        running = []
        for k in range(1, count):
            file = Path(folder, f"{k}.json")
            place = (session.place + k / count) % 1.0
            file.write_text(json.dumps({**job, "place": place}), encoding="utf-8")
            told = [sys.executable, "-m", __name__, str(file)]
            running.append(subprocess.Popen(told, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


def axes(designs: Iterable[Design]) -> dict[str, list[str]]:
    """Return the names on each axis of a grid, in order."""
    names = ("norm", "preconditioner", "momentum", "step")
    listed = list(designs)
    return {x: list(dict.fromkeys(getattr(d, x) for d in listed)) for x in names}


def task_called(name: str) -> MakeTask:
    """Return the task that `reference` named."""
    if name in TASKS:
        return TASKS[name]
    module, _, place = name.partition(":")
    found: MakeTask = getattr(importlib.import_module(module), place)
    return found


def run(file: Path) -> None:
    """Work on a job until it is done, there is no time, or whoever started it has ended."""
    import torch

    torch.set_num_threads(1)
    job = json.loads(file.read_text(encoding="utf-8"))
    plan = Plan(**{**job["plan"], "steps": tuple(job["plan"]["steps"])})
    session = Session(
        Ledger(job["url"], job["axes"]),
        Written(job["texts"]),
        plan,
        task_called(job["task"]),
        Clock(**job["clock"]),
        tuple(map(groups.named, job["require"])),
        tuple(map(groups.named, job["groups"])),
        job["processes"],
        job["place"],
        parted=lambda: os.getppid() != job["parent"],
    )
    session.work()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
