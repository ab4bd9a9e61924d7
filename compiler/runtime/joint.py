"""Joint: scalars that a step combines over all layers, whatever rule or schedule they have."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.runtime.batch import Inputs, Known, Stepper
from normdsl.nodes import Across, Reducer

#: A scalar that is not known yet; what is computed before it does not read it.
_UNKNOWN = torch.zeros((), dtype=torch.float32, device="cpu")


def shared(batches: Sequence[tuple[Stepper, Inputs]]) -> list[Known]:
    """Return, for each batch, what its step combines over all layers, and its own part of it.

    Layers are the matrices of all batches whose rule combines the same expression. A parameter that
    does not count contributes nothing: 0 to a sum, −∞ to a maximum.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    known = [_unknown(len(stepper.program.layers)) for stepper, _ in batches]
    nodes = dict.fromkeys(x for stepper, _ in batches for x in stepper.program.layers)
    for node in sorted(nodes, key=_depth):
        holders = [i for i, (stepper, _) in enumerate(batches) if node in stepper.program.layers]
        each = [batches[i][0].survey(node, batches[i][1], known[i]) for i in holders]
        counted = [_counted(x, batches[i][1], node) for x, i in zip(each, holders, strict=True)]
        total = _joined(counted, node.reducer)
        for x, i in zip(each, holders, strict=True):
            place = batches[i][0].program.layers.index(node)
            _put(known[i], "layers", place, total.to(x).reshape(1, 1, 1))
            _put(known[i], "own", place, x)
    return known


def _unknown(count: int) -> Known:
    return {"layers": (_UNKNOWN,) * count, "own": (_UNKNOWN,) * count} if count else {}


def _put(known: Known, name: str, place: int, value: Tensor) -> None:
    old = known[name]
    known[name] = (*old[:place], value, *old[place + 1 :])


@lru_cache(maxsize=256)
def _depth(node: Across) -> int:
    """Return how many scalars of all layers are computed before it, one inside the other."""
    return 1 + max([0, *(_depth(x) for x in inside([node.arg]) if isinstance(x, Across))])


def _counted(each: Tensor, batch: Inputs, node: Across) -> Tensor:
    """Return contributions, without those of parameters that do not count."""
    if batch.counted is None:
        return each
    nothing = 0.0 if node.reducer is Reducer.SUM else -torch.inf
    return torch.where(batch.column(batch.counted), each, nothing)


def _joined(each: Sequence[Tensor], reducer: Reducer) -> Tensor:
    """Return the sum or maximum of what batches contribute, in the widest of their dtypes."""
    joined = torch.cat([x.to(each[0].device).flatten() for x in each])
    return joined.sum() if reducer is Reducer.SUM else joined.amax()
