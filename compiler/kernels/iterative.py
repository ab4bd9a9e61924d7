"""Inverse roots and eigenbases of batches of symmetric matrices, by iterations of fixed length."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import in_place


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
    largest = s.abs().amax((-2, -1), keepdim=True)
    image = (s / torch.where(largest == 0, 1.0, largest)) @ q
    order = (q * image).sum(-2, keepdim=True).argsort(dim=-1, descending=True, stable=True)
    vectors = orthonormalised(image.gather(-1, order.expand_as(image)))
    top = vectors.gather(-2, vectors.abs().argmax(-2, keepdim=True))
    return vectors * torch.where(top < 0, -1.0, 1.0).to(vectors.dtype)


def orthonormalised(x: Tensor) -> Tensor:
    """Return Q of x = Q R, for square x.

    On CPUs of x with eight rows of zeros below it, which come to nothing: columns whose distance is
    a large power of two displace one another from caches.
    """
    size = x.shape[-1]
    if size < 256 or x.is_meta or not in_place(x):
        return torch.linalg.qr(x).Q
    columns = x.new_zeros(*x.shape[:-1], size + 8)
    columns[..., :size] = x.mT
    return torch.linalg.householder_product(*torch.geqrf(columns.mT))[..., :size, :]
