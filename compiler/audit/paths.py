"""Paths of an optimizer on a changing random problem, with simulated rounding if wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.verdicts.tasks import Loss as Objective
from normdsl.compiler.verdicts.tasks import problem
from normdsl.compiler.verdicts.trajectory import TOO_STEEP


def changing_problem(shape: tuple[int, int], seed: int) -> tuple[Tensor, Objective]:
    """Return a start and another smooth convex loss for every step, as mini-batches give.

    Averages over steps then mix gradients that differ, and show it.
    """

    @cache
    def batch(step: int) -> Objective:
        return problem(shape, 1000 * seed + step)[1]

    def loss(w: Tensor, step: int = 0) -> Tensor:
        return batch(step)(w, step)

    return problem(shape, 1000 * seed)[0], loss


def follow(
    subject: Subject,
    start: Tensor,
    loss: Objective,
    dtype: torch.dtype,
    steps: int,
    rough: float = 0.0,
    seed: int = 0,
) -> list[Tensor]:
    """Return the iterates in float64, shorter if the run diverges or the optimizer gives up.

    Args:
        subject: the optimizer. start: W_0. loss: the objective, in float64. dtype: of the weights.
        steps: how many. rough: relative size of rounding errors added to every step, on top of
            those of the dtype that holds the weights; none at all if it is 0.
        seed: of those errors, and of the optimizer's own draws.

    Raises:
        RefusedError: if the optimizer raises in the first step.
    """
    drive = subject.drive([start.to(dtype)], seed)
    rng = np.random.default_rng([seed, 13])
    objective = partial(_objective, loss)
    path = [drive.weights()[0].double()]
    for step in range(steps):
        try:
            drive.advance(objective, step)
        except RefusedError:
            if step == 0:
                raise
            break
        now = drive.weights()[0].double()
        if rough:
            errors = torch.as_tensor(rng.standard_normal(tuple(now.shape)))
            size = rough * float((now - path[-1]).norm()) / math.sqrt(now.numel())
            now = now + (size + torch.finfo(dtype).eps * now.abs()) * errors
            with torch.no_grad():
                drive.params[0].copy_(now)
        if not float(now.abs().max()) < TOO_STEEP:
            break
        path.append(now)
    return path


def _objective(loss: Objective, params: Sequence[Tensor], step: int) -> Tensor:
    return loss(params[0].double(), step)
