"""Polar factors of batches of matrices, by odd polynomials: matrix products only."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import symmetric_product


def unit_wide(x: Tensor) -> Tensor:
    """Return x, or xᵀ if it is tall, as one batch, with Frobenius norm 1, or 0; no overflow.

    Row by row first: one sum over all entries is off by 1e-3 in float32 from 4096 × 4096 on.
    """
    y = x.reshape(-1, *x.shape[-2:])
    y = y.mT if x.shape[-2] > x.shape[-1] else y
    largest = y.abs().amax((-2, -1), keepdim=True)
    y = y / torch.where(largest == 0, 1.0, largest)
    norm = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    norm = torch.linalg.vector_norm(norm, dim=-2, keepdim=True)
    return y / torch.where(norm == 0, 1.0, norm)


def polar_newton_schulz(
    x: Tensor, coefficients: tuple[tuple[float, float, float], ...], dtype: torch.dtype
) -> Tensor:
    """Return x, scaled to Frobenius norm 1, under the maps y ↦ a y + b (y yᵀ) y + c (y yᵀ)² y."""
    y = unit_wide(x).to(dtype)
    for a, b, c in coefficients:
        y = quintic_step(y, symmetric_product(y, y.mT), a, b, c)
    return (y.mT if x.shape[-2] > x.shape[-1] else y).reshape(x.shape).to(x.dtype)


def quintic_step(y: Tensor, gram: Tensor, a: float, b: float, c: float) -> Tensor:
    """Return a y + (b gram + c gram²) y: two products that add to what is there."""
    factor = symmetric_product(gram, gram, gram, b, c)
    return torch.baddbmm(y, factor, y, beta=a)


def polar_gram_newton_schulz(
    x: Tensor,
    coefficients: tuple[tuple[float, float, float], ...],
    dtype: torch.dtype,
    restart: int,
) -> Tensor:
    """Return the same, carrying y yᵀ along; it is formed anew every `restart` steps."""
    y = unit_wide(x).to(dtype)
    for start in range(0, len(coefficients), restart):
        steps = coefficients[start : start + restart]
        y = quintic_factor(symmetric_product(y, y.mT), steps, dtype) @ y
    return (y.mT if x.shape[-2] > x.shape[-1] else y).reshape(x.shape).to(x.dtype)


def quintic_factor(
    gram: Tensor, coefficients: tuple[tuple[float, float, float], ...], dtype: torch.dtype
) -> Tensor:
    """Return the z of z y, what these maps make of a y with y yᵀ = gram: polynomials of that."""
    gram = factor = product = gram.to(dtype)
    eye = gram.new_ones(gram.shape[-1]).diag_embed()
    for k, (a, b, c) in enumerate(coefficients):
        if k:
            gram = symmetric_product(symmetric_product(factor, gram), factor)
        factor = symmetric_product(gram, gram, gram, b, c) + a * eye
        product = symmetric_product(factor, product) if k else factor
    return product


def polar_turbo(
    x: Tensor, coefficients: tuple[tuple[float, float, float], ...], dtype: torch.dtype
) -> Tensor:
    """Return the polynomials of diag(1/s) y, s_i² = Σ_j |y yᵀ|_ij, y = x or, if tall, xᵀ."""
    y = unit_wide(x)
    gram = y @ y.mT
    sums = gram.abs().sum(-1, keepdim=True)
    scale = torch.where(sums == 0, 0.0, torch.where(sums == 0, 1.0, sums).rsqrt())
    y, gram = (scale * y).to(dtype), (scale * gram * scale.mT).to(dtype)
    for k, (a, b, c) in enumerate(coefficients):
        y = quintic_step(y, symmetric_product(y, y.mT) if k else gram, a, b, c)
    return (y.mT if x.shape[-2] > x.shape[-1] else y).reshape(x.shape).to(x.dtype)
