"""Entrywise functions and norms that torch does not have as one call."""

from __future__ import annotations

import torch
from torch import Tensor


def reciprocal(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x = 0."""
    zero = x == 0
    return torch.where(zero, 0.0, 1 / torch.where(zero, 1.0, x))


def length(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return √Σ x² over axes without overflow or underflow of the squares."""
    largest = x.abs().amax(axes, keepdim=True)
    scale = torch.where(largest == 0, 1.0, largest)
    return scale * torch.linalg.vector_norm(x / scale, dim=axes, keepdim=True)


def kth_largest(x: Tensor, k: int, axes: tuple[int, ...]) -> Tensor:
    """Return the k-th largest of entries ≥ 0 over axes, 0 where there are fewer."""
    y = x.flatten(-2).unsqueeze(-2) if len(axes) == 2 else x.mT if axes == (-2,) else x
    few = k > y.shape[-1]
    found = y[..., :1] * 0 if few else y.topk(k, dim=-1).values[..., -1:]
    return found.mT if axes == (-2,) else found


def block_mean(x: Tensor, rows: int, cols: int) -> Tensor:
    """Return x with every entry replaced by the mean over its block of rows × cols entries."""
    for size in (rows, cols):
        x = x.mT
        count = x.shape[-1]
        size = max(1, min(size, count))
        padded = torch.nn.functional.pad(torch.stack([x, torch.ones_like(x)]), (0, -count % size))
        total, entries = padded.reshape(2, *x.shape[:-1], -(-count // size), size).sum(-1)
        x = (total / entries).repeat_interleave(size, -1)[..., :count]
    return x
