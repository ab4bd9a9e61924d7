"""Numbers of kernels: what is the same for all entries of a member, as kernels read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.batches.members import Context
from normdsl.compiler.buckets.buckets import Bucket


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
    tensors = {k: x for k, x in enumerate(values) if isinstance(x, Tensor)}
    # Those that are on a device, or several, are not read by the host.
    apart = {k: x for k, x in tensors.items() if x.numel() > 1 or x.device.type != "cpu"}
    host = [0.0 if k in apart else float(x) for k, x in enumerate(values)]
    found = torch.tensor([host], dtype=torch.float64).to(device, non_blocking=True)
    if any(x.numel() > 1 for x in apart.values()):
        found = found.repeat(members, 1)
    for k, x in apart.items():
        found[:, k] = x.reshape(-1)
    return found
