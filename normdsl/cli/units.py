"""The experiment of the tour: one start, one network, and features in ever stranger units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.cli.tables import mark
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.declaration import Declaration
from normdsl.training.digits import Data, network
from normdsl.training.run import divergence, train
from normdsl.training.tasks import digits_task

HIDDEN = 64
#: Every feature is multiplied by a factor of its own, 10^U(−s, s).
SPREADS = (0, 1, 2, 3, 4)
#: Every rule is tuned on raw features, with the same nine rates, by the best mean of three seeds.
RATES = tuple(float(f"1e{k}") * (3 if half else 1) for k in range(-5, 0) for half in (0, 1))[:9]
SEEDS = (0, 1, 2)


@attrs.frozen
class Fate:
    """What becomes of a rule as units spread.

    Args:
        name: of the rule, and what is fixed. rate: its learning rate.
        verdict: what the checker says of scale.
        accuracies: on test data, for each spread.
        distances: the largest relative distance of the run from that on raw features.
        diverged: in which of them the loss ends above its start.
    """

    name: str
    rate: float
    verdict: str
    accuracies: list[float]
    distances: list[float]
    diverged: list[bool]


@attrs.frozen(eq=False)
class _Run:
    accuracy: float
    diverged: bool
    weights: list[list[Tensor]]


Tick = Callable[[], object]


def fate(rule: Declaration, rate: float, data: Data, steps: int, tick: Tick) -> Fate:
    """Return what becomes of a rule: one run for each spread, all from the same function."""
    verdict = rule.check(groups.scale)
    assert isinstance(verdict, Verdict)
    runs = [_run(rule, rate, data, factors(s), steps, seed=0) for s in _told(SPREADS, tick)]
    raw = runs[0]
    return Fate(
        rule.name,
        rate,
        mark(verdict),
        [x.accuracy for x in runs],
        [distance(raw.weights, x.weights, factors(s)) for s, x in zip(SPREADS, runs, strict=True)],
        [x.diverged for x in runs],
    )


def tuned(rule: Declaration, data: Data, steps: int, tick: Tick) -> float:
    """Return the rate of `RATES` with which a rule does best on raw features.

    To a tenth of a percent; of equally good ones, the smallest.
    """

    def mean(rate: float) -> float:
        reached = [_run(rule, rate, data, factors(0), steps, seed).accuracy for seed in SEEDS]
        return float(round(sum(reached) / len(SEEDS), 3))

    best: float = max(_told(RATES, tick), key=mean)
    return best


def factors(spread: float) -> Tensor:
    """Return a factor for each feature, 10^U(−s, s); the same draws U for every s."""
    generator = torch.Generator().manual_seed(1)
    uniform = 2 * torch.rand(64, generator=generator, dtype=torch.float64) - 1
    return torch.as_tensor(10 ** (spread * uniform))


def _told(values: tuple[Any, ...], tick: Tick) -> Iterator[Any]:
    for value in values:
        yield value
        tick()


def _run(rule: Declaration, rate: float, data: Data, scale: Tensor, steps: int, seed: int) -> _Run:
    """Train on rescaled features, with a first layer that starts divided by the same factors."""
    model = network(HIDDEN, seed, bias=False)
    with torch.no_grad():
        next(model.parameters()).div_(scale)
    task = digits_task(model, data.rescaled(scale), steps, seed)
    weights: list[list[Tensor]] = []

    def keep() -> None:
        weights.append([p.detach().clone() for p in model.parameters()])

    losses = train(task, [rule(model.parameters(), lr=rate)], steps, after=keep)
    return _Run(task.score(), divergence(losses) is not None, weights)


def distance(raw: list[list[Tensor]], other: list[list[Tensor]], scale: Tensor) -> float:
    """Return the largest distance of two runs over all steps, in raw units, relative to W."""
    largest = 0.0
    for a, b in zip(raw, other, strict=False):
        mapped = [b[0] * scale, *b[1:]]
        gap = sum(float((x - y).square().sum()) for x, y in zip(a, mapped, strict=True))
        size = sum(float(x.square().sum()) for x in a)
        largest = max(largest, math.sqrt(gap / size))
    return largest
