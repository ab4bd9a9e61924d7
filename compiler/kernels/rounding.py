"""Rounding to bfloat16 by chance, so that what is rounded away is there on average."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded_by_chance(x: Tensor, bits: Tensor) -> Tensor:
    """Return x in bfloat16, rounded to either neighbour with the chance that makes the mean x.

    The 16 bits of float32 that bfloat16 lacks are a fraction u of the gap to the next number away
    from 0; a uniform number in [0, 1) of 16 bits is added, and the rest cut off: it carries with
    chance u. What bfloat16 holds stays as it is, and so do infinity and NaN.

    Args:
        x: numbers, which are rounded to float32 first. bits: integers, the last 16 bits random.
    """
    single = x.to(torch.float32)
    noise = (bits & 0xFFFF).to(torch.int32)
    cut = ((single.view(torch.int32) + noise) & -0x10000).view(torch.float32)
    return torch.where(torch.isfinite(single), cut, single).to(torch.bfloat16)
