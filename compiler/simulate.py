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
import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import ANY, FIXED, Frame, Index, Law
from normdsl.compiler.invariance.witness import PARTED, STEPS, Experiment, Size
from normdsl.compiler.runtime.ambient import apart
from normdsl.compiler.runtime.functional import Functional
from normdsl.compiler.tasks import Loss as Loss
from normdsl.compiler.tasks import Task, layered
from normdsl.compiler.trajectory import Run, run
from normdsl.declaration import Declaration
from normdsl.schedule import exact


@attrs.frozen(eq=False)
class Element:
    """A random element of a group.

    Args:
        parts: one matrix or diagonal per action. c: the scalar unit. shift: T.
    """

    parts: Mapping[str, Tensor]
    c: float
    shift: Tensor

    def at(self, step: int) -> Element:
        """Return the element whose scalar unit is that of a step, where it changes step by step."""
        return attrs.evolve(self, c=self.c * (1 + step))

    def act(self, law: Law, x: Tensor) -> Tensor:
        """Return what a value with this law is, given its counterpart x̃ in the other run."""
        x = x.mT if law.twin is not None else x
        x = self._matrix(law.rows, x.shape[-2]) @ x @ self._matrix(law.cols, x.shape[-1]).mT
        entries = self._matrix(law.entries, x.shape[-2] * x.shape[-1])
        return (entries @ x.reshape(-1)).reshape(x.shape) * self._scalar(law) + self._offset(law, x)

    def undo(self, law: Law, x: Tensor) -> Tensor:
        """Return x̃, given x: the inverse of `act`."""
        x = x - self._offset(law, x)
        entries = self._matrix(law.entries, x.shape[-2] * x.shape[-1])
        x = torch.linalg.solve(entries, x.reshape(-1)).reshape(x.shape)
        x = torch.linalg.solve(self._matrix(law.rows, x.shape[-2]), x)
        x = torch.linalg.solve(self._matrix(law.cols, x.shape[-1]), x.mT).mT / self._scalar(law)
        return x.mT if law.twin is not None else x

    def _offset(self, law: Law, x: Tensor) -> Tensor | float:
        if law.offset == 0:
            return 0.0
        return float(law.offset) * (self.shift if x.shape == self.shift.shape else self.shift.mT)

    def _scalar(self, law: Law) -> float:
        return self.c ** float(0 if law.unit is None else law.unit)

    def _matrix(self, ix: Index, size: int) -> Tensor:
        """Return the matrix that acts on an index; a frame is free, and left as it is."""
        if ix in (FIXED, ANY) or isinstance(ix.element, Frame):
            return torch.eye(size, dtype=torch.float64)
        part = self.parts[ix.element]
        if ix.cls.diagonal:
            return torch.diag(part ** float(ix.power))
        part = part if ix.cls.signed or not ix.cls.monomial else part.abs()
        return part if ix.cls.orthogonal or ix.power == 1 else torch.linalg.inv(part).mT


def draw(group: Group, shape: tuple[int, int], seed: int) -> Element:
    """Return a random element of a group for weights of `shape`."""
    rng = np.random.default_rng(seed)
    sizes = {"rows": shape[0], "cols": shape[1], "entries": shape[0] * shape[1]}
    places = {"rows": group.rows, "cols": group.cols, "entries": group.entries}
    parts = {
        action.symbol: torch.as_tensor(action.draw(rng, sizes[place]), dtype=torch.float64)
        for place, action in places.items()
        if action is not None
    }
    c = float(np.exp(rng.uniform(0.5, 1.5)))
    return Element(parts, c, torch.as_tensor(rng.standard_normal(shape)))


def problem(shape: tuple[int, int], seed: int) -> tuple[Tensor, Loss]:
    """Return a start and a smooth convex loss without symmetries: coupled squares and quartics."""
    rng = np.random.default_rng([seed, 1])

    def normal(*size: int) -> Tensor:
        return torch.as_tensor(rng.standard_normal(size), dtype=torch.float64)

    m, n = shape
    start, target = normal(m, n), normal(m, n)
    left, right, weights = normal(m, m), normal(n, n), normal(m, n)

    def loss(w: Tensor, step: int = 0) -> Tensor:
        gap = w - target
        squares = (left @ gap @ right).square().sum() / (m * n)
        return 1 + squares + (weights * gap).pow(4).sum() / 20

    return start, loss


def task(rule: Declaration, shape: tuple[int, int], seed: int) -> Task:
    """Return the problem for a rule: with a layer, if it reads one's moments."""
    return layered(shape, seed) if rule.moments else Task(*problem(shape, seed))


@attrs.frozen(eq=False)
class Twins:
    """Two runs that an invariant rule keeps together.

    Args:
        original: the run of W_t. other: that of W̃_t. mapped: ρ(g) W̃_t.
        noise: how far runs of either kind part, at each step, when they are disturbed slightly.
    """

    original: Run
    other: Run
    mapped: list[Tensor]
    noise: list[float]

    @property
    def drift(self) -> list[float]:
        """Distance of the two at each step both have, relative to the way they have gone."""
        return distances(self.original.weights, self.mapped)

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
    element = draw(group, experiment.shape, experiment.seed)
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
        return Run(found.weights[: experiment.steps + 1], found.seen[: experiment.steps])

    def other(seed: int | None = None) -> Run:
        jitter = None if seed is None else torch.Generator().manual_seed(seed)
        return run(
            rule, twin, experiment.steps, hyper, state=state, jitter=jitter,
            pace=experiment.pace, reach=experiment.reach,
        )  # fmt: skip

    def mapped(found: Run) -> list[Tensor]:
        return [element.act(group.weights, w) for w in found.weights]

    first, second = original(), other()
    found = Twins(first, second, mapped(second), [0.0] * experiment.steps)
    if all(d <= PARTED for d in found.drift):
        return found
    noise = [0.0] * experiment.steps
    for seed in range(2):
        for path, again in (
            (first.weights, original(seed).weights),
            (found.mapped, mapped(other(seed))),
        ):
            far = distances(path, again)
            far += [math.inf] * (len(path) - 1 - len(far))
            noise[: len(far)] = map(max, far, noise)
    return attrs.evolve(found, noise=noise)


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
    """Return the starts of those states of the other run that it does not choose itself."""
    if not way.laws:
        return {}
    hyper: Mapping[str, Any] = experiment.hyper
    ours = Functional(experiment.declaration, exact).init(posed.start, **hyper)
    return {name: element.undo(law, ours[name]) for name, law in way.laws.items()}


@lru_cache(maxsize=64)
def _original(
    rule: Declaration,
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
