"""Inverse roots and eigenbases of batches of symmetric matrices, by iterations of fixed length."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import in_place, matrix_product, unit_entries


def coupled_newton(s: Tensor, p: float, steps: int) -> Tensor:
    """Return (s + ρ I)^p for p = −1/r with a whole r and positive semidefinite s, and 0 for s = 0.

    ρ = 4 k eps ‖s‖_F keeps rounded eigenvalues positive. A step that brings m no closer to I
    is not taken, so no matrix of the batch leaves the fixed point once it is there.
    """
    r = round(-1 / p)
    largest = s.abs().amax((-2, -1), keepdim=True)
    a = s / torch.where(largest == 0, 1.0, largest)
    norm = torch.linalg.matrix_norm(a, keepdim=True)
    eye = s.new_ones(s.shape[-1]).diag_embed()
    a = a / torch.where(norm == 0, 1.0, norm) + 4 * torch.finfo(s.dtype).eps * s.shape[-1] * eye
    z = (r + 1) / (2 * torch.linalg.matrix_norm(a, keepdim=True))
    x, m = z ** (1 / r) * eye, z * a
    for _ in range(steps):
        t = ((r + 1) * eye - m) / r
        next_m = torch.linalg.matrix_power(t, r) @ m
        next_m = (next_m + next_m.mT) / 2
        distance = torch.linalg.matrix_norm(m - eye, keepdim=True)
        closer = torch.linalg.matrix_norm(next_m - eye, keepdim=True) < distance
        x, m = torch.where(closer, x @ t, x), torch.where(closer, next_m, m)
    scale = torch.where(norm == 0, 1.0, largest) * torch.where(norm == 0, 1.0, norm)
    return torch.where(norm == 0, 0.0, x * scale**p)


def qr_power_step(s: Tensor, q: Tensor) -> Tensor:
    """Return orthonormal columns that span what s maps those of q to, first column first.

    The columns of q are ordered by qᵢᵀ s qᵢ before, largest in front. The sign is chosen so that
    the largest entry of each column is positive.
    """
    image = matrix_product(unit_entries(s).reshape(s.shape), q)
    order = (q * image).sum(-2).argsort(dim=-1, descending=True, stable=True)
    rows = orthonormalised(columns_as_rows(image, order).mT).mT
    top = rows.gather(-1, rows.abs().argmax(-1, keepdim=True))
    return columns_as_rows(rows * torch.where(top < 0, -1.0, 1.0).to(rows.dtype))


def columns_as_rows(x: Tensor, order: Tensor | None = None) -> Tensor:
    """Return xᵀ of square x, or its rows by their numbers.

    On CPUs one matrix after the other: of a batch torch copies transposes entry by entry.
    """
    if x.shape[-1] < 256 or x.is_meta or not in_place(x):
        return x.mT if order is None else x.mT.gather(-2, order.unsqueeze(-1).expand_as(x))
    each = [y.mT.contiguous() for y in x.reshape(-1, *x.shape[-2:])]
    if order is not None:
        numbers = order.reshape(-1, order.shape[-1])
        each = [y.index_select(0, k) for y, k in zip(each, numbers, strict=True)]
    return (torch.stack(each) if len(each) > 1 else each[0]).reshape(x.shape)


def orthonormalised(x: Tensor) -> Tensor:
    """Return Q of x = Q R, for square x.

    On CPUs of x with eight rows of zeros below it, which come to nothing: columns whose distance is
    a large power of two displace one another from caches.
    """
    size = x.shape[-1]
    if size < 256 or x.is_meta or not in_place(x):
        return torch.linalg.qr(x).Q
    rows = x.new_empty(*x.shape[:-1], size + 8)
    rows[..., :size], rows[..., size:] = x.mT, 0
    columns, scales = rows.mT, x.new_empty(x.shape[:-1])
    torch.geqrf(columns, out=(columns, scales))
    return torch.linalg.householder_product(columns, scales, out=columns)[..., :size, :]
