"""Matrices with known singular values, easy and adversarial, for tests of kernels."""

from __future__ import annotations

import torch
from torch import Tensor

DOUBLE = torch.float64
SHAPES = ((8, 8), (8, 24), (24, 8), (1, 6), (6, 1))


def spectra(size: int) -> dict[str, Tensor]:
    """Return singular values, largest first: what is easy and what breaks iterations."""
    ones = torch.ones(size, dtype=DOUBLE)
    dominant = torch.cat([ones[:1], 2e-3 * ones[1:]])
    repeated = torch.cat([ones[: size // 2], 0.1 * ones[size // 2 :]])
    geometric = torch.logspace(0, -3, size, dtype=DOUBLE)
    return {"flat": ones, "dominant": dominant, "repeated": repeated, "geometric": geometric}


def orthonormal(rows: int, cols: int, seed: int) -> Tensor:
    """Return random orthonormal columns."""
    x = torch.randn(rows, cols, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(x).Q


def frames(rows: int, cols: int) -> tuple[Tensor, Tensor]:
    """Return left and right singular vectors for a matrix of this shape, as columns."""
    size = min(rows, cols)
    return orthonormal(rows, size, 1), orthonormal(cols, size, 2)


def with_values(values: Tensor, rows: int, cols: int) -> Tensor:
    """Return the matrix with these singular values and the vectors of `frames`."""
    u, v = frames(rows, cols)
    return (u * values) @ v.mT


def gram_matrix(values: Tensor) -> Tensor:
    """Return a symmetric matrix with these eigenvalues."""
    q = orthonormal(len(values), len(values), 3)
    s = (q * values) @ q.mT
    return (s + s.mT) / 2


def response(result: Tensor) -> Tensor:
    """Return uᵢᵀ y vᵢ of a result on `with_values`: what became of each singular value."""
    u, v = frames(*result.shape)
    return (u.mT @ result.to(DOUBLE) @ v).diagonal()


def scalar_map(values: Tensor, coefficients: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Return the values after the polynomials."""
    for a, b, c in coefficients:
        values = a * values + b * values**3 + c * values**5
    return values
