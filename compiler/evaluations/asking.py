"""Asking: what a step's further evaluations of the loss answer, phase after phase.

All matrices of all rules move to their points of a phase together; those whose rule has no such
phase, or has not moved, stay at the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from normdsl.compiler.batches import running
from normdsl.compiler.batches.across_layers import shared
from normdsl.compiler.batches.inputs import Inputs, Known, Shares
from normdsl.compiler.batches.products import KINDS, Product
from normdsl.compiler.batches.sharing import Scalar
from normdsl.compiler.evaluations.evaluating import missing_evaluations
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.phases import Phase
from normdsl.expressions.nodes import Asked


class Place(NamedTuple):
    """Where a batch of matrices is in one evaluation of the loss, and what it asks there.

    Args:
        point: the matrices; None if they stay at the weights.
        directions: of its products, in order, with what is multiplied with each.
        whole: matrices of whose entries it asks the whole Hessian; None if it does not.
    """

    point: Tensor | None
    directions: Sequence[tuple[Asked, Tensor]]
    whole: Tensor | None = None


class Answer(NamedTuple):
    """What an evaluation of the loss says.

    Args:
        losses: its value, for each batch; None where it returned none.
        grads: for each batch the gradients.
        products: what each of `products` is, for each batch.
    """

    losses: Sequence[Tensor | None]
    grads: Sequence[Tensor]
    products: Sequence[Sequence[Tensor]]


class Oracle(Protocol):
    """What evaluates the loss where batches of matrices are."""

    def __call__(self, places: Sequence[Place], fresh: bool) -> Answer:
        """Return what the loss is, with each batch in its place; on the second sample if fresh."""


#: A rule, and what a batch of matrices steps from, or several processes hold parts of.
Batch = tuple[Stepper, Inputs | Shares]
#: From what batches of matrices are told of the loss, all that they are told; a list for each run.
Share = Callable[[Sequence[Sequence[Known]]], Sequence[list[Known]]]


def products(places: Sequence[Place]) -> list[Product]:
    """Return the products that places ask for.

    First those of all batches together, then for each batch those of single entries.
    """
    found = []
    for asked in KINDS:
        each = [[x for kind, x in place.directions if kind is asked] for place in places]
        found += [
            Product(asked, [own[k] if k < len(own) else None for own in each])
            for k in range(max(map(len, each)))
        ]
    for i, place in enumerate(places):
        if place.whole is not None:
            count, dtype = place.whole.numel(), place.whole.dtype
            for entry in torch.eye(count, dtype=dtype, device=place.whole.device):
                alone = entry.reshape(place.whole.shape)
                single = [alone if j == i else None for j in range(len(places))]
                found.append(Product(Asked.HESSIAN_PRODUCT, single))
    return found


def _starts(places: Sequence[Place]) -> dict[Asked, int]:
    """Return where the products of each kind begin, and those of single entries."""
    found, place = {}, 0
    for asked in KINDS:
        found[asked] = place
        place += max(sum(kind is asked for kind, _ in each.directions) for each in places)
    return {**found, Asked.HESSIAN: place}


def hessians(places: Sequence[Place], answer: Answer, i: int) -> Tensor:
    """Return the Hessian in the entries of each matrix of a batch, b × mn × mn."""
    sizes = [0 if place.whole is None else place.whole.numel() for place in places]
    first, whole = _starts(places)[Asked.HESSIAN] + sum(sizes[:i]), places[i].whole
    assert whole is not None, "it was asked for"
    count, entries = len(whole), sizes[i] // max(len(whole), 1)
    rows = [x[i].reshape(count, entries) for x in answer.products[first : first + sizes[i]]]
    found = torch.stack(rows).reshape(count, entries, count, entries)
    own = found.diagonal(dim1=0, dim2=2).movedim(-1, 0)  # of a matrix with itself
    return (own + own.mT) / 2


def answered(batches: Sequence[Batch], joined: Sequence[Scalar], oracle: Oracle) -> list[Known]:
    """Return for each batch what its step is told: answers, and scalars of all layers.

    Args:
        batches: what steps together. joined: the scalars of their rules. oracle: answers.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    return together([batches], [oracle], lambda told: [shared(batches, joined, told[0])])[0]


def together(
    runs: Sequence[Sequence[Batch]],
    oracles: Sequence[Oracle],
    share: Share,
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
    batches: Sequence[Batch],
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
                told[i] = _noted(told[i], batches[i], phase, answer, places, i)
    return told


def _unanswered(stepper: Stepper) -> Known:
    return {"answers": ()} if stepper.program.phases else {}


def _phase(stepper: Stepper, k: int) -> Phase | None:
    phases = stepper.program.phases
    return phases[k] if k < len(phases) else None


def _place(
    stepper: Stepper, k: int, phase: Phase | None, inputs: Inputs | Shares, known: Known
) -> Place:
    """Return where a batch is in a phase."""
    if phase is None:
        return Place(None, ())
    if isinstance(inputs, Shares):
        point, *directions = inputs.places(k, known)
    else:
        point, *directions = running.places(stepper, k, inputs, known)
    whole = inputs.weights.new_empty(point.shape) if phase.reads_hessian else None
    told = list(zip(phase.kinds, directions, strict=True))
    return Place(point if phase.moves else None, told, whole)


def _loss(stepper: Stepper, inputs: Inputs | Shares, loss: Tensor | None) -> Tensor:
    """Return a loss for each matrix of a batch."""
    if loss is None:
        raise missing_evaluations(stepper.program.declaration.name, "a closure that returns it")
    value = loss.to(inputs.weights.device, stepper.dtype(inputs.weights))
    return value.reshape(1, 1, 1).expand(inputs.count, 1, 1)


def _noted(
    told: Known,
    batch: Batch,
    phase: Phase,
    answer: Answer,
    places: Sequence[Place],
    i: int,
) -> Known:
    """Return what a batch is told, with the answers of a phase."""
    stepper, inputs = batch
    next_one = _starts(places)
    new: list[Tensor] = []
    for query in phase.asked:
        match query.asked:
            case Asked.GRADIENT:
                new.append(answer.grads[i])
            case Asked.LOSS:
                new.append(_loss(stepper, inputs, answer.losses[i]))
            case Asked.HESSIAN_PRODUCT | Asked.GAUSS_NEWTON_PRODUCT:
                new.append(answer.products[next_one[query.asked]][i])
                next_one[query.asked] += 1
            case Asked.HESSIAN:
                new.append(hessians(places, answer, i))
    dtype = stepper.dtype(inputs.weights)
    return {**told, "answers": (*told["answers"], *(x.to(dtype) for x in new))}
