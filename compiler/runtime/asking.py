"""Asking: what a step's further evaluations of the loss answer, phase after phase.

All matrices of all rules move to their points of a phase together; those whose rule has no such
phase, or has not moved, stay at the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.runtime import running
from normdsl.compiler.runtime.across_layers import shared
from normdsl.compiler.runtime.evaluating import missing_evaluations
from normdsl.compiler.runtime.inputs import Inputs, Known
from normdsl.compiler.runtime.sharing import Scalar
from normdsl.compiler.runtime.stepper import Stepper
from normdsl.expressions.nodes import Asked


class Place(NamedTuple):
    """Where a batch of matrices is in one evaluation of the loss, and what it asks there.

    Args:
        point: the matrices; None if they stay at the weights.
        directions: of its products with the Hessian, in order.
    """

    point: Tensor | None
    directions: Sequence[Tensor]


class Answer(NamedTuple):
    """What an evaluation of the loss says.

    Args:
        losses: its value, for each batch; None where it returned none.
        grads: for each batch the gradients.
        products: for each direction, the Hessian of all batches times the directions of all.
    """

    losses: Sequence[Tensor | None]
    grads: Sequence[Tensor]
    products: Sequence[Sequence[Tensor]]


class Oracle(Protocol):
    """What evaluates the loss where batches of matrices are."""

    def __call__(self, places: Sequence[Place], fresh: bool) -> Answer:
        """Return what the loss is, with each batch in its place; on the second sample if fresh."""


#: From what batches of matrices are told of the loss, all that they are told; a list for each run.
Share = Callable[[Sequence[Sequence[Known]]], Sequence[list[Known]]]


def directions(places: Sequence[Place]) -> list[list[Tensor | None]]:
    """Return for each product with the Hessian the direction of every batch; None for zero."""
    most = max(len(place.directions) for place in places)
    return [
        [p.directions[k] if k < len(p.directions) else None for p in places] for k in range(most)
    ]


def answered(
    batches: Sequence[tuple[Stepper, Inputs]], joined: Sequence[Scalar], oracle: Oracle
) -> list[Known]:
    """Return for each batch what its step is told: answers, and scalars of all layers.

    Args:
        batches: what steps together. joined: the scalars of their rules. oracle: answers.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    return together([batches], [oracle], lambda told: [shared(batches, joined, told[0])])[0]


def together(
    runs: Sequence[Sequence[tuple[Stepper, Inputs]]], oracles: Sequence[Oracle], share: Share
) -> list[list[Known]]:
    """Return what batches of several runs of one rule are told, phase after phase.

    Args:
        runs: the batches of each. oracles: what answers each. share: tells what they share.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    told: list[list[Known]]
    told = [[_unanswered(stepper) for stepper, _ in batches] for batches in runs]
    most = max([0, *[len(stepper.program.phases) for stepper, _ in runs[0]]])
    for k in range(most):
        known = share(told)
        for i, batches in enumerate(runs):
            told[i] = _asked(batches, oracles[i], k, told[i], known[i])
    return list(share(told))


def _asked(
    batches: Sequence[tuple[Stepper, Inputs]],
    oracle: Oracle,
    k: int,
    told: list[Known],
    known: Sequence[Known],
) -> list[Known]:
    """Return what batches are told after one more phase."""
    each = [_phase(stepper, k) for stepper, _ in batches]
    for fresh in sorted({phase.fresh for phase in each if phase is not None}):
        asking = [x if x is not None and x.fresh is fresh else None for x in each]
        places = [
            _place(stepper, k, phase, inputs, seen)
            for (stepper, inputs), phase, seen in zip(batches, asking, known, strict=True)
        ]
        answer = oracle(places, fresh)
        for i, phase in enumerate(asking):
            if phase is not None:
                told[i] = _noted(told[i], batches[i], phase, answer, i)
    return told


def _unanswered(stepper: Stepper) -> Known:
    return {"answers": ()} if stepper.program.phases else {}


def _phase(stepper: Stepper, k: int) -> Phase | None:
    phases = stepper.program.phases
    return phases[k] if k < len(phases) else None


def _place(stepper: Stepper, k: int, phase: Phase | None, inputs: Inputs, known: Known) -> Place:
    """Return where a batch is in a phase."""
    if phase is None:
        return Place(None, ())
    point, *directions = running.places(stepper, k, inputs, known)
    return Place(point if phase.moves else None, directions)


def _loss(stepper: Stepper, inputs: Inputs, loss: Tensor | None) -> Tensor:
    """Return a loss for each matrix of a batch."""
    if loss is None:
        raise missing_evaluations(stepper.program.declaration.name, "a closure that returns it")
    value = loss.to(inputs.weights.device, stepper.dtype(inputs.weights))
    return value.reshape(1, 1, 1).expand(inputs.count, 1, 1)


def _noted(
    told: Known, batch: tuple[Stepper, Inputs], phase: Phase, answer: Answer, place: int
) -> Known:
    """Return what a batch is told, with the answers of a phase."""
    stepper, inputs = batch
    products = iter(answer.products)
    new: list[Tensor] = []
    for query in phase.asked:
        match query.asked:
            case Asked.GRADIENT:
                new.append(answer.grads[place])
            case Asked.LOSS:
                new.append(_loss(stepper, inputs, answer.losses[place]))
            case Asked.HESSIAN_PRODUCT:
                new.append(next(products)[place])
    dtype = stepper.dtype(inputs.weights)
    return {**told, "answers": (*told["answers"], *(x.to(dtype) for x in new))}
