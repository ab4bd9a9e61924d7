"""Rounding: new states in the dtypes in which they are kept between steps.

Where a schedule rounds by chance, the random bits are functions of seed, parameter, step, state and
entry, so that a run that goes on from a checkpoint rounds as one that never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.kernels.draws import drawn_bits
from normdsl.compiler.kernels.rounding import rounded_by_chance
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.runtime.draws import hashed

#: Entries that are rounded at once, if they are of several matrices.
_MANY = 2**20


def kept(field: Field, new: Tensor, dtype: torch.dtype, stream: Tensor | None, each: int) -> Tensor:
    """Return a new state as it is kept.

    Args:
        field: which state. new: its values, count × …. dtype: in which it is kept.
        stream: of random bits, for each matrix, count × 1 × 1; None to round to the nearest.
        each: how many matrices a parameter has.
    """
    if stream is None or dtype != torch.bfloat16:
        return new.to(dtype)
    size = new.shape[1:].numel()
    first = (torch.arange(len(new), device=new.device) % each * size).reshape(-1, 1, 1)
    most = max(1, _MANY // max(1, size))
    parts = zip(*(torch.split(x, most) for x in (new, stream, first)), strict=True)
    places = torch.arange(size, device=new.device).reshape(new.shape[1:])
    return joined([by_chance(field, x, s, places + k) for x, s, k in parts])


def by_chance(field: Field, new: Tensor, stream: Tensor, places: Tensor) -> Tensor:
    """Return a state in bfloat16.

    Args:
        field: which state. new: its values. stream: of random bits, for each of them or for all.
        places: their numbers among those of their parameter.
    """
    key = hashed(f"rounding of {field.name}")
    return rounded_by_chance(new, drawn_bits(stream, key, places))


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return parts of a batch as one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
