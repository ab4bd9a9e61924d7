"""Gram matrices of batches, products that are known to be symmetric, and how they start."""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_product(
    a: Tensor, b: Tensor, base: Tensor | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """Return a b, or β base + α a b, b × k × k, which is known to be symmetric, as its base is.

    On CPUs by two blocks of rows: no block above the diagonal is computed, a quarter of the work
    less. Small ones, compiled ones and those of other devices are formed at once.
    """
    k, half = a.shape[-2], a.shape[-2] // 2
    whole = a.device.type not in ("cpu", "meta") or torch.compiler.is_compiling()
    if k < 512 or whole:
        if base is None:
            return torch.bmm(a, b)
        return torch.baddbmm(base, a, b, beta=beta, alpha=alpha)
    found = a.new_empty(a.shape[0], k, k)
    first, rest = found[:, :half, :half], found[:, half:]
    if base is None:
        torch.bmm(a[:, :half], b[..., :half], out=first)
        torch.bmm(a[:, half:], b, out=rest)
    else:
        upper, lower = base[:, :half, :half], base[:, half:]
        torch.baddbmm(upper, a[:, :half], b[..., :half], beta=beta, alpha=alpha, out=first)
        torch.baddbmm(lower, a[:, half:], b, beta=beta, alpha=alpha, out=rest)
    found[:, :half, half:] = found[:, half:, :half].mT
    return found


def short_gram(y: Tensor) -> Tensor:
    """Return y yᵀ, or yᵀ y of a tall y: the small one of the two."""
    tall = y.shape[-2] > y.shape[-1]
    return symmetric_product(y.mT, y) if tall else symmetric_product(y, y.mT)


def on_short(factor: Tensor, y: Tensor) -> Tensor:
    """Return y times a symmetric factor on its short side: factor y, or y factor of a tall y."""
    tall = y.shape[-2] > y.shape[-1]
    return torch.bmm(y, factor) if tall else torch.bmm(factor, y)


def shifted(s: Tensor, number: float) -> Tensor:
    """Add a multiple of I to s, in place, and return it."""
    s.diagonal(dim1=-2, dim2=-1).add_(number)
    return s


def unit_entries(x: Tensor) -> Tensor:
    """Return x as one batch of matrices whose largest entry is 1; 0 stays 0."""
    y = x.reshape(-1, *x.shape[-2:])
    low, high = torch.aminmax(y.flatten(-2), dim=-1)
    largest = torch.maximum(high, -low).unsqueeze(-1).unsqueeze(-1)
    return y / torch.where(largest == 0, 1.0, largest)


def root_bound(gram: Tensor) -> Tensor:
    """Return ‖gram‖_F, or 1 where it is 0: at least its largest eigenvalue, b × 1 × 1."""
    norm = torch.linalg.matrix_norm(gram, keepdim=True)
    return torch.where(norm == 0, 1.0, norm)
