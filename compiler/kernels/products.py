"""Gram matrices of batches, products that are known to be symmetric, and how they start."""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b, of batches of matrices."""
    return a @ b


def symmetric_product(
    a: Tensor, b: Tensor, base: Tensor | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """Return a b, or β base + α a b, b × k × k, which is known to be symmetric, as its base is.

    On CPUs by blocks of rows. Small ones, those of other devices, and where derivatives or graphs
    are made, are formed at once.
    """
    if a.shape[-2] >= 256 and in_place(a):
        k = a.shape[-2]
        return by_blocks(a.new_empty(a.shape[0], k, k), a, b, base, beta, alpha)
    if base is None:
        return torch.bmm(a, b)
    return torch.baddbmm(base, a, b, beta=beta, alpha=alpha)


def by_blocks(
    found: Tensor, a: Tensor, b: Tensor, base: Tensor | None, beta: float, alpha: float
) -> Tensor:
    """Write a b, or β base + α a b, to `found`, which may be the base, and return it: symmetric.

    By four blocks of rows, or eight large ones, each up to the diagonal: 5/8 or 9/16 of the work.
    """
    k = found.shape[-1]
    size = -(-k // (8 if k >= 1024 else 4))
    for start in range(0, k, size):
        stop = min(start + size, k)
        block, rows, columns = found[:, start:stop, :stop], a[:, start:stop], b[..., :stop]
        if base is None:
            torch.bmm(rows, columns, out=block)
        else:
            own = base[:, start:stop, :stop]
            torch.baddbmm(own, rows, columns, beta=beta, alpha=alpha, out=block)
        found[:, :start, start:stop] = block[..., :start].mT
    return found


def in_place(x: Tensor) -> bool:
    """Return whether results may be written part by part: on CPUs, where nothing traces x."""
    if torch.compiler.is_compiling() or x.device.type not in ("cpu", "meta"):
        return False
    return not x.requires_grad and torch._C._functorch.maybe_current_level() is None


def in_double(x: Tensor) -> Tensor:
    """Return x in double precision, if it has values: as a device without it, "meta" has none."""
    return x if x.is_meta else x.double()


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
    """Return x as one batch of matrices whose largest entry is 1; 0 stays 0.

    Of both ends one by one, which CPUs find ten times as fast as `torch.aminmax` does.
    """
    y = x.reshape(-1, *x.shape[-2:])
    low, high = (end((-2, -1), keepdim=True) for end in (y.amin, y.amax))
    largest = torch.maximum(high, -low)
    return y / torch.where(largest == 0, 1.0, largest)


def root_bound(gram: Tensor) -> Tensor:
    """Return ‖gram‖_F, or 1 where it is 0: at least its largest eigenvalue, b × 1 × 1."""
    norm = torch.linalg.matrix_norm(gram, keepdim=True)
    return torch.where(norm == 0, 1.0, norm)
