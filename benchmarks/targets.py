"""Targets: how quick a rule has to be, as ratios within one run, and whether it is."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from normdsl.benchmarks.results import Report, Row

SECOND = "s"
TIMES = "×"


class Verdict(enum.StrEnum):
    """What came of a target."""

    MET = "met"
    MISSED = "missed"
    OPEN = "not measured"


@attrs.frozen
class Measure:
    """A number of a row, by name.

    Args:
        name: of the number. of: takes it from a row. unit: of it, if it is compared with nothing.
    """

    name: str
    of: Callable[[Row], float | None]
    unit: str = TIMES


MEDIAN = Measure("median", lambda row: row.median)
MEAN = Measure("mean", lambda row: row.mean)
OVER_FLOOR = Measure("median over its floor", lambda row: row.over_floor)
SLOWEST = Measure("slowest step over the median", lambda row: row.slowest)
FIRST = Measure("first step", lambda row: row.first, SECOND)
MEMORY = Measure("extra memory over the parameters", lambda row: row.memory)
SPREAD = Measure("singular values from their median", lambda row: row.spread, "")


@attrs.frozen
class Peers:
    """Whom a target is compared with: the best of them that was measured.

    Args:
        words: for them. names: of contestants.
    """

    words: str
    names: tuple[str, ...]


@attrs.frozen
class Target:
    """A number of a contestant that is to be at most a limit.

    Args:
        device: "cpu" or "cuda". set: of parameters. name: of the contestant.
        limit: of the number, over that of whom it is compared with, if anybody.
        against: whom. measure: which number.
        needs: a package it is meant with, if there is one.
    """

    device: str
    set: str
    name: str
    limit: float
    against: Peers | None = None
    measure: Measure = MEDIAN
    needs: str | None = None

    def value(self, report: Report | None) -> float | None:
        """Return the number that a run has, or None if it wasn't measured."""
        if report is None or (self.needs is not None and self.needs not in report.versions):
            return None
        own = self._of(report, self.name)
        if own is None or self.against is None:
            return own
        others = [x for name in self.against.names if (x := self._of(report, name)) is not None]
        return own / min(others) if others else None

    def _of(self, report: Report, name: str) -> float | None:
        row = report.row(self.set, name)
        return None if row is None else self.measure.of(row)

    def verdict(self, report: Report | None) -> Verdict:
        """Return whether a run meets it."""
        value = self.value(report)
        if value is None:
            return Verdict.OPEN
        return Verdict.MET if value <= self.limit else Verdict.MISSED

    @property
    def asked(self) -> str:
        """What is to be at most the limit, in words."""
        compared = f" against {self.against.words}" if self.against else ""
        wanted = f", with {self.needs}" if self.needs else ""
        return f"{self.name}, {self.measure.name}{compared}{wanted}"

    def shown(self, value: float | None) -> str:
        """Return a number with its unit."""
        if value is None:
            return "–"
        text = f"{value:.0e}" if 0 < value < 0.005 else f"{value:.2f}"
        return f"{text} {self.measure.unit}".strip()


def _one(name: str) -> Peers:
    return Peers(name, (name,))


ADAMW, COMPILED, MUON = "normdsl AdamW", "normdsl AdamW compiled", "normdsl Muon"
FUSED, FOREACH = _one("torch AdamW fused"), _one("torch AdamW foreach")
TORCH_MUON, OUR_MUON = _one("torch Muon"), _one(MUON)
SOAP = _one("pytorch_optimizer SOAP")
SHAMPOO = _one("pytorch_optimizer Shampoo")
SOAPS = Peers("the better peer", (*SOAP.names, "heavyball SOAP"))
MUONS = Peers(
    "the best peer",
    (
        "torch Muon",
        "pytorch_optimizer Muon",
        "heavyball Muon",
        "dion Muon",
        "dion Muon triton",
        "gram-newton-schulz Muon",
        "gram-newton-schulz Muon quack",
    ),
)
#: Flags and step counts are held by everybody, but nothing that grows with the parameters.
NOTHING = 0.01
ENTRYWISE = ("Lion", "Adam-SANIA", "MADGRAD", "invented")
ON_CPU = (
    Target("cpu", "gpt", COMPILED, 1.05, FUSED),
    Target("cpu", "gpt", ADAMW, 1.5, FUSED),
    Target("cpu", "small", COMPILED, 0.4, FUSED),
    Target("cpu", "small", ADAMW, 1.0, FOREACH),
    *[Target("cpu", "gpt", f"normdsl {x} compiled", 1.5, measure=OVER_FLOOR) for x in ENTRYWISE],
    Target("cpu", "gpt", COMPILED, 10.0, measure=FIRST),
    Target("cpu", "gpt", ADAMW, NOTHING, measure=MEMORY),
    Target("cpu", "gpt", COMPILED, NOTHING, measure=MEMORY),
    Target("cpu", "gpt", MUON, 0.52, TORCH_MUON),
    Target("cpu", "wide", MUON, 0.50, TORCH_MUON),
    Target("cpu", "square", MUON, 0.85, TORCH_MUON),
    Target("cpu", "small", MUON, 0.32, TORCH_MUON),
    *[Target("cpu", x, MUON, 1e-4, measure=SPREAD) for x in ("gpt", "wide", "square", "small")],
    *[
        Target("cpu", "gpt", f"normdsl {x}", 1.1, OUR_MUON)
        for x in ("MuAdam", "MuAdam-SANIA", "Scion")
    ],
    Target("cpu", "gpt", "normdsl SOAP", 0.75, SOAPS),
    Target("cpu", "gpt", "normdsl SOAP", 0.75, SOAPS, MEAN),
    Target("cpu", "gpt", "normdsl SOAP", 1.5, measure=SLOWEST),
    Target("cpu", "gpt", "normdsl Shampoo", 0.7, SHAMPOO, MEAN),
)
ON_CUDA = (
    Target("cuda", "gpt-124m", ADAMW, 1.0, FUSED),
    Target("cuda", "gpt-0.9b", ADAMW, 0.9, FUSED),
    Target("cuda", "small", ADAMW, 0.25, FUSED),
    Target("cuda", "gpt-124m", COMPILED, 10.0, measure=FIRST),
    Target("cuda", "gpt-124m", MUON, 0.85, MUONS),
    Target("cuda", "gpt-0.9b", MUON, 0.95, MUONS, needs="quack-kernels"),
    Target("cuda", "gpt-0.9b", MUON, 0.85, TORCH_MUON),
    Target("cuda", "small", MUON, 0.2, MUONS),
    Target("cuda", "gpt-124m", MUON, 0.7, measure=MEMORY),
    Target("cuda", "gpt-124m", "normdsl SOAP", 0.6, SOAP),
    Target("cuda", "gpt-124m", "normdsl SOAP", 1.5, measure=SLOWEST),
)
TARGETS = {"cpu": ON_CPU, "cuda": ON_CUDA}
