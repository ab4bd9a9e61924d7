"""Timing: contestants of a field step in turn, so that a machine that slows down slows them all."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Sequence
from math import prod

import attrs
from torch.nn import Parameter

from normdsl.benchmarks.anew import compiled_anew
from normdsl.benchmarks.contestants import Contestant, Field, Steps
from normdsl.benchmarks.floors import Probes, Rates, wait
from normdsl.benchmarks.memory import extra
from normdsl.benchmarks.results import Row, Skipped, rounded
from normdsl.benchmarks.sets import Set, Shape, give_gradients, parameters
from normdsl.benchmarks.spread import spread

#: Cycles of refreshes that are timed.
CYCLES = 2
#: Seconds of steps of a contestant, by device, after which its rounds are enough.
ENOUGH = {"cpu": 12.0, "cuda": 3.0}


@attrs.define(eq=False)
class Runner:
    """A contestant that steps.

    Args:
        contestant: who. params: its own. optimizer: of them. device: the type of theirs.
        times: of its steps, in seconds. launches: until each returned. first: of the first one.
        memory: bytes of a step. typical: seconds of one, once warm. spread: of the singular
            values of a first step. failed: why it stopped.
    """

    contestant: Contestant
    params: list[Parameter]
    optimizer: Steps
    device: str
    times: list[float] = attrs.field(factory=list)
    launches: list[float] = attrs.field(factory=list)
    first: float = 0.0
    memory: int = 0
    typical: float = 0.0
    spread: float | None = None
    failed: str | None = None

    def step(self) -> float:
        """Take a step on new gradients, and return how long it took."""
        give_gradients(self.params)
        wait(self.device)
        start = time.perf_counter()
        self.optimizer.step()
        returned = time.perf_counter()
        wait(self.device)
        ended = time.perf_counter()
        self.launches.append(returned - start)
        self.times.append(ended - start)
        for p in self.params:
            p.grad = None
        return ended - start

    def warm_up(self) -> None:
        """Take the steps that compile and make states, and see the memory of those of a cycle."""
        self.first = self.step()
        self.memory = extra(
            lambda: give_gradients(self.params),
            self.optimizer.step,
            self.contestant.refresh,
            self.device,
        )
        self.typical = self.step()
        self.times.clear()
        self.launches.clear()

    def round(self, k: int, rounds: int) -> None:
        """Take the steps of a round, unless there was an error before."""
        try:
            for _ in range(0 if self.failed else self.share(k, rounds)):
                self.step()
        except Exception as error:
            self.failed = told(error)

    def share(self, k: int, rounds: int) -> int:
        """Return how many steps a round has: some if they are short, a part of the cycles."""
        refresh = self.contestant.refresh
        if refresh > 1:
            return CYCLES * refresh * (k + 1) // rounds - CYCLES * refresh * k // rounds
        if len(self.times) >= 3 and sum(self.times) > ENOUGH[self.device]:
            return 0
        return max(1, min(3, int(0.1 / self.typical)))

    def row(self, set_name: str, rates: Rates) -> Row:
        """Return what was measured."""
        shapes = tuple(tuple(p.shape) for p in self.params)
        return Row(
            set=set_name,
            field=self.contestant.field,
            name=self.contestant.name,
            times=tuple(map(rounded, self.times)),
            first=rounded(self.first),
            floor=rounded(rates.floor(self.contestant.work, shapes)),
            memory=rounded(self.memory / sum(p.nbytes for p in self.params)),
            launch=rounded(statistics.median(self.launches)) if self.device == "cuda" else None,
            spread=self.spread,
        )


def measure(
    field: Field,
    where: Set,
    contestants: Sequence[Contestant],
    device: str,
    rounds: int,
    ends: float = float("inf"),
) -> tuple[list[Row], list[Skipped], Rates]:
    """Measure the contestants of a field on a set, in turn.

    Args:
        field: that they compete in. where: the set. contestants: who. device: "cpu" or "cuda".
        rounds: how many. ends: the time, as `time.monotonic` tells it, after which none is begun.
    """
    shapes = where.shapes(field.matrices)
    skipped: list[Skipped] = []
    runners: list[Runner] = []
    with compiled_anew():
        for contestant in contestants:
            started = _start(contestant, where.name, shapes, device, ends)
            if isinstance(started, Runner):
                runners.append(started)
            else:
                skipped.append(started)
        rates = _rounds(runners, Probes(sum(map(prod, shapes)), device), rounds)
        lost = [r for r in runners if r.failed is not None]
        skipped += [_skipped(r.contestant, where.name, str(r.failed)) for r in lost]
        rows = [r.row(where.name, rates) for r in runners if r not in lost]
    return rows, skipped, rates


def _start(
    contestant: Contestant, set_name: str, shapes: tuple[Shape, ...], device: str, ends: float
) -> Runner | Skipped:
    """Return a warm contestant, or why there is none."""
    why = contestant.why_not(set_name, device)
    if why is None and time.monotonic() > ends:
        why = "there was no time left"
    if why is None:
        gc.collect()
        try:
            params = parameters(shapes, device)
            runner = Runner(contestant, params, contestant.make(params, device), device)
            runner.warm_up()
            runner.spread = spread(contestant, shapes, device)
        except ImportError as error:
            why = f"not importable: {error}"
        except Exception as error:  # whatever a peer raises is told, and the others go on
            why = told(error)
        else:
            _tell(f"{set_name}: {contestant.name}, first step {runner.first:.2f} s")
            return runner
    return _skipped(contestant, set_name, why)


def _skipped(contestant: Contestant, set_name: str, why: str) -> Skipped:
    _tell(f"{set_name}: {contestant.name} skipped: {why}")
    return Skipped(set_name, contestant.field, contestant.name, why)


def told(error: Exception) -> str:
    """Return an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(": ")


def _rounds(runners: list[Runner], probes: Probes, rounds: int) -> Rates:
    """Let every contestant step in each round, another one first each time."""
    seen = []
    for k in range(rounds):
        gc.collect()
        seen.append(probes.measure())
        begin = k % max(1, len(runners))
        for runner in runners[begin:] + runners[:begin]:
            runner.round(k, rounds)
    half = [r.half for r in seen if r.half is not None]
    return Rates(
        bandwidth=rounded(statistics.median(r.bandwidth for r in seen)),
        single=rounded(statistics.median(r.single for r in seen)),
        half=rounded(statistics.median(half)) if half else None,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
