"""The first step that moves the weights, and the rounding with which an optimizer computes it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.streams import Stream, exact_normal, linear

#: Steps granted to an optimizer that only observes at first.
PATIENCE = 12
#: Relative width of a family of gradients: several units in the last place of bfloat16.
WIDTH = 1.2e-2
MEMBERS, DEGREE = 16, 4


def first_step(
    subject: Subject, stream: Stream, dtype: torch.dtype, loss: float = 1.0
) -> Tensor | None:
    """Return W_k − W_0 in float64 for the first k that moves W; None if none does.

    W_0 is zero, so that weight decay is silent and the difference is exact; an optimizer that never
    leaves zero is started elsewhere.

    Args:
        subject: the optimizer. stream: its gradients, of one parameter. dtype: of the parameter.
        loss: the value of the loss at zero.

    Raises:
        RefusedError: if the optimizer raises.
    """
    shape = tuple(stream(0)[0].shape)
    for start in (torch.zeros(shape, dtype=dtype), exact_normal(shape, (7, 7)).to(dtype)):
        drive = subject.drive([start])
        for step in range(PATIENCE):
            drive.advance(linear(stream, loss), step)
            moved = drive.weights()[0].double() - start.double()
            if bool(moved.count_nonzero()):
                return moved
    return None


def delay(subject: Subject, stream: Stream, dtype: torch.dtype) -> int | None:
    """Return how many steps an optimizer takes before one that moves the weights; None if all.

    Raises:
        RefusedError: if the optimizer raises.
    """
    start = exact_normal(tuple(stream(0)[0].shape), (7, 7)).to(dtype)
    drive = subject.drive([start])
    for step in range(PATIENCE):
        drive.advance(linear(stream), step)
        if not torch.equal(drive.weights()[0], start):
            return step
    return None


def grain(subject: Subject, stream: Stream, dtype: torch.dtype) -> float:
    """Return the relative rounding of a first step, whatever precision is used inside.

    Gradients G ∘ (1 + x R) are taken for close x. An exact step is smooth in x; what a polynomial
    cannot follow is rounding. Continuous or not, a step computed in float64 gives about 1e-15, one
    in bfloat16 about 1e-3.

    Raises:
        RefusedError: if the optimizer raises.
    """
    return float(np.median([_roughness(subject, stream, dtype, seed) for seed in range(3)]))


def _roughness(subject: Subject, stream: Stream, dtype: torch.dtype, seed: int) -> float:
    places = np.linspace(-1, 1, MEMBERS)
    rng = np.random.default_rng([seed, 11])
    slope = torch.as_tensor(rng.uniform(0.5, 1.5, tuple(stream(0)[0].shape)))
    steps = []
    for x in places:

        def moved(step: int, factor: Tensor = 1 + WIDTH / 2 * x * slope) -> list[Tensor]:
            return [stream(step)[0] * factor]

        found = first_step(subject, moved, dtype)
        if found is None or not bool(torch.isfinite(found).all()):
            return 0.0
        steps.append(found.reshape(-1).numpy())
    family = np.stack(steps)
    smooth, _ = np.linalg.qr(np.vander(places, DEGREE + 1))
    rest = family - smooth @ (smooth.T @ family)
    freedom = MEMBERS - DEGREE - 1
    return float(
        np.linalg.norm(rest) / np.sqrt(freedom) * np.sqrt(MEMBERS) / np.linalg.norm(family)
    )
