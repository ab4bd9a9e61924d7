"""Numbers of kernels: what is the same for all entries of a member, as kernels read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.runtime.buckets import Bucket, Context


def known(bucket: Bucket, context: Context) -> dict[str, Any]:
    """Return what all entries of a bucket step with, by name: numbers, the loss, the slope."""
    loss = 0.0 if context.loss is None else context.loss
    return {"loss": loss, "slope": -1.0 if bucket.maximize else 1.0, **context.numbers[0]}


def rows(
    names: Sequence[str], told: Mapping[str, Any], members: int, device: torch.device
) -> Tensor:
    """Return numbers as float64, in one row for all members, or one for each if any differ.

    Args:
        names: of the numbers, in order. told: what they are, some maybe with one for each member.
        members: how many there are. device: where they are read.
    """
    values = [told[name] for name in names]
    several = any(isinstance(x, Tensor) and x.numel() > 1 for x in values)
    if not several and device.type == "cpu":
        return torch.tensor([[float(x) for x in values]], dtype=torch.float64)
    columns = [
        torch.as_tensor(x, dtype=torch.float64, device=device)
        .reshape(-1)
        .expand(members if several else 1)
        for x in values
    ]
    return torch.stack(columns, 1)
