"""Scalars that a step combines over all layers, whatever rule or schedule these have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.batches import running
from normdsl.compiler.batches.inputs import Inputs, Known, Shares
from normdsl.compiler.batches.sharing import Scalar, scalars
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.expressions.nodes import Across, Reducer

#: A scalar that is not known yet; what is computed before it does not read it.
UNKNOWN = torch.zeros((), dtype=torch.float32, device="cpu")


def shared(
    batches: Sequence[tuple[Stepper, Inputs | Shares]],
    joined: Sequence[Scalar] | None = None,
    told: Sequence[Known] | None = None,
) -> list[Known]:
    """Return, for each batch, what its step combines over all layers, and its own part of it.

    Layers are the matrices of all batches whose rules share a scalar (see `sharing`). A parameter
    that does not count contributes nothing: 0 to a sum, −∞ to a maximum.

    Args:
        batches: what steps together. joined: the scalars of their rules, if they are known.
        told: what else each of them is told: the answers of the loss and the means over workers up
            to now, without which some scalars are not known yet.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
        DeclarationError: if it is not clear which scalars of several rules are one.
    """
    batches = list(batches)
    known = [_unknown(len(stepper.program.layers)) for stepper, _ in batches]
    if told is not None:
        known = [own | more for own, more in zip(known, told, strict=True)]
    if joined is None:
        joined = scalars(tuple(dict.fromkeys(stepper for stepper, _ in batches)))
    for scalar in joined:
        holders = [i for i, (stepper, _) in enumerate(batches) if stepper in scalar.nodes]
        nodes = [scalar.nodes[batches[i][0]] for i in holders]
        pairs = zip(nodes, holders, strict=True)
        if any(_waits(batches[i][0], node, known[i]) for node, i in pairs):
            continue
        for node, i in zip(nodes, holders, strict=True):
            stepper, batch = batches[i]
            if node in stepper.program.waiting and isinstance(batch, Inputs):
                batches[i] = stepper, running.renewed(stepper, batch, known[i])
        each = [
            _contributed(*batches[i], node, known[i])
            for node, i in zip(nodes, holders, strict=True)
        ]
        counted = [
            _counted(x, batches[i][1], scalar.reducer) for x, i in zip(each, holders, strict=True)
        ]
        every = [_everywhere(x, batches[i][1]) for x, i in zip(counted, holders, strict=True)]
        total = _joined(every, scalar.reducer)
        for x, node, i in zip(each, nodes, holders, strict=True):
            place = batches[i][0].program.layers.index(node)
            _put(known[i], "layers", place, total.to(x).reshape(1, 1, 1))
            _put(known[i], "own", place, x)
    return known


def _contributed(stepper: Stepper, batch: Inputs | Shares, node: Across, known: Known) -> Tensor:
    """Return what each matrix of a batch contributes to a scalar of all layers."""
    if isinstance(batch, Shares):
        return batch.survey(node, known)
    return running.survey(stepper, node, batch, known)


def _waits(stepper: Stepper, node: Across, known: Known) -> bool:
    """Return whether a scalar depends on answers or means over workers that are still to come."""
    program = stepper.program
    if program.needs[node] > len(known.get("answers", ())):
        return True
    means = (program.workers.index(x) for x in program.depends[node] if x in program.needed)
    return any(known["workers"][k] is UNKNOWN for k in means)


def _unknown(count: int) -> Known:
    return {"layers": (UNKNOWN,) * count, "own": (UNKNOWN,) * count} if count else {}


def _put(known: Known, name: str, place: int, value: Tensor) -> None:
    old = known[name]
    known[name] = (*old[:place], value, *old[place + 1 :])


def _counted(each: Tensor, batch: Inputs | Shares, reducer: Reducer) -> Tensor:
    """Return contributions, without those of parameters that do not count."""
    if batch.counted is None:
        return each
    nothing = 0.0 if reducer is Reducer.SUM else -torch.inf
    return torch.where(batch.counted, each, nothing)


def _everywhere(each: Tensor, batch: Inputs | Shares) -> Tensor:
    """Return contributions with those of the matrices that other processes have."""
    if isinstance(batch, Inputs) and batch.everywhere is not None:
        return batch.everywhere(each)
    return each


def _joined(each: Sequence[Tensor], reducer: Reducer) -> Tensor:
    """Return the sum or maximum of what batches contribute, in the widest of their dtypes."""
    joined = torch.cat([x.to(each[0].device).flatten() for x in each])
    return joined.sum() if reducer is Reducer.SUM else joined.amax()
