"""Reparametrisations: two runs that an invariant optimizer keeps together, for every group.

The twin starts at ρ(g)⁻¹ W₀ and minimises the same function of the original weights. Its distance
from the original run counts only where it stands out from what rounding does to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import attrs
import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.first import delay, grain
from normdsl.compiler.audit.paths import changing_problem, follow
from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.streams import Stream
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.verdicts.elements import Element, draw
from normdsl.compiler.verdicts.simulate import distances
from normdsl.compiler.verdicts.tasks import Loss as Objective
from normdsl.compiler.verdicts.trajectory import DISTURBANCE

#: A relative distance below this has not parted.
PARTED = 1e-6
#: So many times what rounding does is still rounding.
MARGIN = 5.0
#: Where rounding alone reaches this tolerance, nothing can be told.
BLURRED = 0.1
#: Runs with simulated rounding per original run.
SHAKEN = 3


@attrs.frozen(eq=False)
class Original:
    """A run on a random problem, and what rounding does to it.

    Args:
        seed: decides the problem. start: W_0. loss: the objective. path: W_0, W_1, ….
        noise: the distance at each step that rounding of the optimizer's own grain makes.
    """

    seed: int
    start: Tensor
    loss: Objective
    path: list[Tensor]
    noise: list[float]

    @property
    def moves(self) -> bool:
        """Whether any step moves the weights."""
        return not torch.equal(self.path[0], self.path[-1])


def original(
    subject: Subject, dtype: torch.dtype, shape: tuple[int, int], steps: int, seed: int
) -> Original:
    """Run an optimizer on a random problem, plainly and with its rounding simulated.

    As many steps are added as it only observes at first.

    Raises:
        RefusedError: if the optimizer raises.
    """
    start, loss = changing_problem(shape, seed)
    slopes = _slopes(start, loss)
    steps += delay(subject, slopes, dtype) or 0
    rough = max(DISTURBANCE, grain(subject, slopes, dtype))
    path = follow(subject, start, loss, dtype, steps)
    shaken = [
        follow(subject, start * (1 + DISTURBANCE), loss, dtype, steps, rough, seed=1 + k)
        for k in range(SHAKEN)
    ]
    noise = [_spread(path, other) for other in shaken]
    return Original(seed, start, loss, path, [max(at) for at in zip(*noise, strict=False)])


def _spread(path: list[Tensor], other: list[Tensor]) -> list[float]:
    """Return the distance of two paths at each step, 0 as long as the first has not moved."""
    apart = distances(path, other)
    still = [bool((w == path[0]).all()) for w in path[1:]]
    return [0.0 if waits else min(d, 1.0) for d, waits in zip(apart, still, strict=False)]


def _slopes(start: Tensor, loss: Objective) -> Stream:
    """Return the gradients of a problem at its start."""

    @cache
    def stream(step: int) -> list[Tensor]:
        return [torch.func.grad(loss)(start, step)]

    return stream


def blurred(runs: Sequence[Original]) -> bool:
    """Return whether rounding decides these runs, so that nothing can stand out from it."""
    return any(MARGIN * n > BLURRED for run in runs for n in run.noise)


def symmetry(
    subject: Subject, group: Group, runs: Sequence[Original], dtype: torch.dtype
) -> Finding:
    """Return the verdict for a group from the worst of several runs.

    The noise at a step is the largest of all runs. Where it is so large that nothing could stand
    out, the verdict is unknown.

    Raises:
        RefusedError: if the optimizer raises.
    """
    noise = [max(at) for at in zip(*(run.noise for run in runs), strict=False)]
    limits = [max(PARTED, MARGIN * n) for n in noise]
    drifts = [_drift(subject, group, run, dtype) for run in runs]
    drift = max(drifts, key=lambda d: max(_ratios(d, limits), default=0.0))
    ratios = _ratios(drift, limits)
    parted = [k for k, ratio in enumerate(ratios) if ratio > 1]
    worst = max(range(len(ratios)), key=ratios.__getitem__, default=None)
    if worst is None or not any(run.moves for run in runs):
        return Finding(
            group.name, Kind.SYMMETRY, Status.UNKNOWN, subject.options, plain(dtype),
            why="the runs diverge at once" if worst is None else "no step moves the weights",
        )  # fmt: skip
    unclear = drift[worst] > PARTED and limits[worst] > BLURRED
    status = Status.BREAKS if parted else Status.UNKNOWN if unclear else Status.HOLDS
    return Finding(
        group.name, Kind.SYMMETRY, status, subject.options, plain(dtype),
        factor=drift[worst], step=parted[0] + 1 if parted else None,
        tolerance=limits[worst], noise=noise[worst],
        at=tuple(range(1, len(drift) + 1)), curve=tuple(drift), limits=tuple(limits),
        shape=(runs[0].start.shape[0], runs[0].start.shape[1]), why=group.formula,
    )  # fmt: skip


def _ratios(drift: Sequence[float], limits: Sequence[float]) -> list[float]:
    return [d / t for d, t in zip(drift, limits, strict=False)]


def _drift(subject: Subject, group: Group, run: Original, dtype: torch.dtype) -> list[float]:
    element = draw(group, (run.start.shape[0], run.start.shape[1]), run.seed)
    mapped = [element.act(group.weights, w) for w in _twin(subject, group, element, run, dtype)]
    return distances(run.path, mapped)


def _twin(
    subject: Subject, group: Group, element: Element, run: Original, dtype: torch.dtype
) -> list[Tensor]:
    """Return the iterates W̃_t of the reparametrised run."""
    unit = element.c ** float(group.loss_unit)

    def reparametrised(w: Tensor, step: int) -> Tensor:
        value = run.loss(element.act(group.weights, w), step)
        power = 1 + 0.3 * step if group.each_step else 1.0
        result: Tensor = value**power / unit
        return result

    start = element.undo(group.weights, run.start)
    return follow(subject, start, reparametrised, dtype, len(run.path) - 1)
