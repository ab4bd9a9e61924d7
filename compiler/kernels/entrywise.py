"""Entrywise functions and norms that torch does not have as one call."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def reciprocal(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x = 0."""
    zero = x == 0
    return torch.where(zero, 0.0, 1 / torch.where(zero, 1.0, x))


def scaled(x: Tensor, size: Tensor) -> Tensor:
    """Return x / size, and 0 where size = 0, as x is then."""
    return x / torch.where(size == 0, 1.0, size)


def log_of(base: Tensor) -> Tensor:
    """Return log b of a number b ≥ 0, with all its digits where b is near 1."""
    x = base.to(torch.promote_types(base.dtype, torch.float32))
    positive = x + torch.finfo(x.dtype).tiny  # so that there is a derivative at 0
    return torch.where(x > 0.5, torch.log1p((x - 1).clamp_min(-0.5)), torch.log(positive))


def as_entry(number: float | Tensor, W: Tensor) -> float | Tensor:
    """Return a number as it meets the entries of W: in their dtype, if it is a tensor."""
    return number.to(W.dtype) if isinstance(number, Tensor) else number


def power(base: float | Tensor, t: float | Tensor) -> float | Tensor:
    """Return b^t for a number b ≥ 0: what float32 makes of one near 1 is far off at large t."""
    if not isinstance(base, Tensor):
        if not isinstance(t, Tensor):
            return float(base**t)
        return torch.exp(t * math.log(base)) if base > 0.5 else base**t
    return torch.exp(t * log_of(base))


def one_minus_power(base: float | Tensor, t: float | Tensor) -> float | Tensor:
    """Return 1 − b^t for a number b ≥ 0, without cancellation where that is near 0."""
    if not isinstance(base, Tensor):
        if not isinstance(t, Tensor):
            return -math.expm1(t * math.log(base)) if base > 0.5 else 1 - base**t
        return -torch.expm1(t * math.log(base)) if base > 0.5 else 1 - base**t
    x = t * log_of(base)
    return torch.where(x > -0.5, -torch.expm1(x), 1 - torch.exp(x))


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


def quantile(x: Tensor, share: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return what a share of the entries over axes is not above, between two of them by a line."""
    y = x.flatten(-2).unsqueeze(-2) if len(axes) == 2 else x.mT if axes == (-2,) else x
    y = y.sort(-1).values
    last = y.shape[-1] - 1
    place = (share * last).expand(*y.shape[:-1], 1)
    low = place.floor()
    below, above = (y.gather(-1, k.clamp(0, last).long()) for k in (low, low + 1))
    found = below + (place - low) * (above - below)
    return found.mT if axes == (-2,) else found


def remainder(x: Tensor, y: Tensor) -> Tensor:
    """Return x mod y, from 0 on and below y ≥ 0, and 0 where y = 0."""
    zero = y == 0
    return torch.where(zero, 0.0, torch.remainder(x, torch.where(zero, 1.0, y)))


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


def largest_over(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the largest entries over axes, −∞ where there is none."""
    if x.numel():
        return x.amax(axes, keepdim=True)
    shape = [1 if k - x.ndim in axes else size for k, size in enumerate(x.shape)]
    return x.new_full(shape, -torch.inf)
