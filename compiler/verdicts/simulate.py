"""Trajectories of a declaration on a random smooth problem, and of its reparametrised twin.

The twin starts at ρ(g)⁻¹ W₀ and minimises f̃ with f(ρ(g) W̃) = c^loss f̃(W̃), or = φ_t(f̃(W̃)); if the
rule is invariant, ρ(g) W̃_t = W_t at every step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.ambient import apart
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.witness import PARTED, STEPS, Experiment, Size
from normdsl.compiler.verdicts.elements import Element, draw
from normdsl.compiler.verdicts.tasks import Task, task
from normdsl.compiler.verdicts.trajectory import Run, pure, run
from normdsl.declarations.rule import Rule

#: Original runs that are kept: all that a search makes for one rule, as it makes them for each
#: group in the same order; were it a few less, none would still be there for the next group.
ORIGINALS = 512


@attrs.frozen(eq=False)
class Twins:
    """Two runs that an invariant rule keeps together.

    Args:
        original: the run of W_t. other: that of W̃_t. mapped: ρ(g) W̃_t, and likewise the
            points at which the model is evaluated.
        noise: how far runs of either kind part, at each step, when they are disturbed slightly.
    """

    original: Run
    other: Run
    mapped: Run
    noise: list[float]

    @property
    def drift(self) -> list[float]:
        """Distance of the two at each step both have, relative to the way they have gone."""
        return parted(self.original, self.mapped)

    @property
    def significant_drift(self) -> list[float]:
        """The drift where it is far above what rounding alone does to the runs, elsewhere 0."""
        return [d if d > 100 * n else 0.0 for d, n in zip(self.drift, self.noise, strict=False)]


def distances(first: list[Tensor], second: list[Tensor]) -> list[float]:
    """Return how far two trajectories are apart at each step, relative to the way gone so far."""
    way, result = 0.0, []
    for (a0, b0), (a, b) in itertools.pairwise(zip(first, second, strict=False)):
        way += float((a - a0).norm() + (b - b0).norm())
        gap = float((a - b).norm())
        result.append(gap / way if way else 0.0)
    return result


def parted(first: Run, second: Run) -> list[float]:
    """Return how far runs are apart at each step, in the weights or in the points beside them."""
    weights = distances(first.weights, second.weights)
    points = distances(first.points, second.points)
    return list(map(max, weights, points)) if points else weights


def mapped(found: Run, group: Group, element: Element) -> Run:
    """Return a run of the twin with its weights, and the points beside them, mapped back."""
    weights, points = (
        [element.move(group, w) for w in column] for column in (found.weights, found.points)
    )
    return Run(weights, found.seen, points)


def resolution(first: list[Tensor], second: list[Tensor]) -> list[float]:
    """Return how far the rounding of weights alone parts runs, relative to the way gone so far.

    Short steps from large weights, as from weights that were shifted far, are lost in it.
    """
    way, result = 0.0, []
    for (a0, b0), (a, b) in itertools.pairwise(zip(first, second, strict=False)):
        way += float((a - a0).norm() + (b - b0).norm())
        size = torch.finfo(a.dtype).eps * float(a.norm() + b.norm())
        result.append(size / way if way else 0.0)
    return result


@attrs.frozen
class Way:
    """How the other run starts its states, and what it sets hyper-parameters to.

    Args:
        laws: by the name of a state, the law that its start moves by.
        scaled: hyper-parameters that are values of the loss, and move as it does.
    """

    laws: Mapping[str, Law] = attrs.field(factory=dict)
    scaled: Sequence[str] = ()


@apart()
def twins(experiment: Experiment, way: Way | None = None) -> Twins:
    """Run a rule on a random problem and on its reparametrisation by a random element."""
    rule, group, way = experiment.declaration, experiment.group, way or Way()
    element = element_of(experiment)
    posed = posed_by(experiment)
    twin = posed.reparametrised(group, element)
    hyper = moved_hyper(experiment, element, way)
    state = moved_start(experiment, posed, element, way)

    def original(seed: int | None = None) -> Run:
        found = _original(
            rule, experiment.shape, experiment.seed, tuple(experiment.hyper.items()),
            experiment.size, experiment.pace, experiment.reach,
            max(experiment.steps, STEPS), seed,  # made once for witnesses of all lengths
        )  # fmt: skip
        return found.first(experiment.steps)

    def other(seed: int | None = None) -> Run:
        jitter = None if seed is None else torch.Generator().manual_seed(seed)
        return run(
            rule, twin, experiment.steps, hyper, state=state, jitter=jitter,
            pace=experiment.pace, reach=experiment.reach,
        )  # fmt: skip

    first, second = original(), other()
    found = Twins(first, second, mapped(second, group, element), [0.0] * experiment.steps)
    if all(d <= PARTED for d in found.drift):
        return found
    noise = [0.0] * experiment.steps
    for seed in range(2):
        for path, again in (
            (first, original(seed)),
            (found.mapped, mapped(other(seed), group, element)),
        ):
            far = parted(path, again)
            far += [math.inf] * (len(path.weights) - 1 - len(far))
            noise[: len(far)] = map(max, far, noise)
    held = second if group.shift else found.mapped
    coarse = resolution(first.weights, held.weights)
    noise[: len(coarse)] = map(max, coarse, noise)
    return attrs.evolve(found, noise=noise)


@apart()
def distance_of(
    one: Rule,
    other: Rule,
    hyper: Mapping[str, float],
    seed: int,
    shape: tuple[int, int],
    steps: int,
    pace: float,
) -> list[float]:
    """Return how far two rules have parted on one problem after each step, 0 where it is rounding.

    Each has those of the hyper-parameters that it knows. A step is compared if both take it.
    """
    posed = task(one if one.moments else other, shape, seed)

    def ran(rule: Rule, jitter: int | None = None) -> Run:
        own = {h.name: hyper[h.name] for h in rule.hyper}
        generator = None if jitter is None else torch.Generator().manual_seed(jitter)
        return run(rule.sized(own), posed, steps, own, jitter=generator, pace=pace)

    first, second = ran(one), ran(other)
    drift = parted(first, second)
    if all(d <= PARTED for d in drift):
        return drift
    noise = [0.0] * len(drift)
    for rule, path in ((one, first), (other, second)):
        far = parted(path, ran(rule, 0))
        far += [math.inf] * (len(drift) - len(far))
        noise = list(map(max, noise, far))
    return [d if d > 100 * n else 0.0 for d, n in zip(drift, noise, strict=True)]


def element_of(experiment: Experiment) -> Element:
    """Return the group element of an experiment."""
    group = experiment.group.on(experiment.declaration.ports)
    return draw(group, experiment.shape, experiment.seed)


def posed_by(experiment: Experiment) -> Task:
    """Return the problem of an experiment."""
    size = experiment.size
    posed = task(experiment.declaration, experiment.shape, experiment.seed)
    return posed.sized(size.weights, size.gradients)


def moved_hyper(experiment: Experiment, element: Element, way: Way) -> dict[str, float]:
    """Return the hyper-parameters of the other run."""
    factor = element.c**experiment.group.loss_unit
    return {k: v / factor if k in way.scaled else v for k, v in experiment.hyper.items()}


def moved_start(
    experiment: Experiment, posed: Task, element: Element, way: Way
) -> dict[str, Tensor]:
    """Return the starts of those states of the other run that assumptions fix."""
    if not way.laws:
        return {}
    hyper: Mapping[str, Any] = experiment.hyper
    ours = pure(experiment.declaration, posed).init(posed.start, **hyper)
    return {name: element.undo(law, ours[name]) for name, law in way.laws.items()}


@lru_cache(maxsize=ORIGINALS)
def _original(
    rule: Rule,
    shape: tuple[int, int],
    seed: int,
    hyper: tuple[tuple[str, float], ...],
    size: Size,
    pace: float,
    reach: float,
    steps: int,
    jitter: int | None,
) -> Run:
    """Return the original run, which is the same for every group."""
    posed = task(rule, shape, seed).sized(size.weights, size.gradients)
    generator = None if jitter is None else torch.Generator().manual_seed(jitter)
    return run(rule, posed, steps, dict(hyper), jitter=generator, pace=pace, reach=reach)
