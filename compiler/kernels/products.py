"""Products of batches of matrices that are known to be symmetric, and sums with them."""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b, b × m × m, which is known to be symmetric: no entry above the diagonal twice.

    By two blocks of rows, which saves a quarter of the work; small ones and those on devices whose
    products are not worth splitting are formed at once.
    """
    m = a.shape[-2]
    if m < 256 or a.device.type not in ("cpu", "meta"):
        return a @ b
    half = m // 2
    upper, lower = a[..., :half, :] @ b[..., :half], a[..., half:, :] @ b
    return torch.cat([torch.cat([upper, lower[..., :half].mT], -1), lower], -2)


def shifted(s: Tensor, number: float) -> Tensor:
    """Add a multiple of I to s, in place, and return it."""
    s.diagonal(dim1=-2, dim2=-1).add_(number)
    return s


def wide_batch(x: Tensor) -> Tensor:
    """Return x as a batch b × m × n with m ≤ n and largest entries 1; 0 stays 0."""
    y = x.mT if x.shape[-2] > x.shape[-1] else x
    y = y.reshape(-1, *y.shape[-2:])
    largest = y.abs().amax((-2, -1), keepdim=True)
    return y / torch.where(largest == 0, 1.0, largest)


def unit_root(gram: Tensor) -> Tensor:
    """Return ‖gram‖_F, or 1 where it is 0: at least its largest eigenvalue, b × 1 × 1."""
    norm = torch.linalg.matrix_norm(gram, keepdim=True)
    return torch.where(norm == 0, 1.0, norm)


def as_before(y: Tensor, x: Tensor) -> Tensor:
    """Return a batch that `wide_batch` made of x in the shape of x."""
    return (y.mT if x.shape[-2] > x.shape[-1] else y).reshape(x.shape)
