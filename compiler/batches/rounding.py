"""Rounding: new states in the dtypes in which they are kept between steps.

Where a schedule rounds by chance, the random bits are functions of seed, parameter, step, state and
entry, so that a run that goes on from a checkpoint rounds as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.kernels.draws import drawn_bits, folded
from normdsl.compiler.kernels.rounding import rounded_by_chance
from normdsl.compiler.layouts.draws import numbered
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.sharding.boxes import Box, whole

#: Entries that are rounded at once, if they are of several matrices.
_MANY = 2**20


def kept(
    place: int,
    new: Tensor,
    dtype: torch.dtype,
    stream: Tensor | None,
    numbers: Tensor,
    part: tuple[Box, Sequence[int]] | None = None,
) -> Tensor:
    """Return a new state as it is kept.

    Args:
        place: which of the rule's states. new: its values, count × …. dtype: in which it is kept.
        stream: of random bits, for each matrix, count × 1 × 1; None to round to the nearest.
        numbers: which of the matrices of its parameter each is.
        part: which box of what has which size they are; None for all of it.
    """
    if stream is None or dtype != torch.bfloat16:
        return new.to(dtype)
    box, full = part or (whole(new.shape[1:]), new.shape[1:])
    size = math.prod(full)
    first = (numbers * size).reshape(-1, 1, 1)
    most = max(1, _MANY // max(1, new.shape[1:].numel()))
    parts = zip(*(torch.split(x, most) for x in (new, stream, first)), strict=True)
    places = numbered(full, box, new.device)
    return joined([rounded_by_chance(x, noise(place, s, places + k)) for x, s, k in parts])


def of_piece(stream: Tensor, piece: Tensor) -> Tensor:
    """Return the stream by which states of matrices are rounded that are not those of one size.

    Args:
        stream: of their parameter. piece: which size; those of the first have the stream itself.
    """
    return torch.where(piece > 0, folded(stream, piece), stream)


def noise(place: int, stream: Tensor, places: Tensor) -> Tensor:
    """Return integers whose last 16 bits are random, for a state; four states share a draw.

    Args:
        place: which of the rule's states. stream: of random bits, for each entry or for all.
        places: the numbers of entries among those of their parameter.
    """
    return drawn(place // 4, stream, places) >> 16 * (place % 4)


def keys(stream: Tensor, states: int) -> Tensor:
    """Return where the draws of all states start, in one row for each stream, by fours.

    Args:
        stream: of each parameter at a step. states: how many there are.
    """
    fours = range((states + 3) // 4)
    return torch.stack([folded(stream, torch.full_like(stream, -1 - k)) for k in fours], -1)


def chances(stepper: Stepper, param: Tensor) -> tuple[tuple[str, int], ...]:
    """Return the states that are rounded by chance, as kernels call them, with their numbers."""
    fields = enumerate(stepper.program.fields)
    kept = [(f"S{k}", k) for k, f in fields if stepper.kept_dtype(f, param) == torch.bfloat16]
    return tuple(kept) if stepper.rounds else ()


def drawn(four: int, stream: Tensor, places: Tensor) -> Tensor:
    """Return the bits of four states; the rule's own draws have keys that are not negative."""
    return drawn_bits(stream, -1 - four, places)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return parts of a batch as one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
