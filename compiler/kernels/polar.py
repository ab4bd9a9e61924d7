"""Polar factors of batches of matrices."""

from __future__ import annotations

import torch
from torch import Tensor


def polar_svd(x: Tensor) -> Tensor:
    """Return U_r V_rᵀ of x = U S Vᵀ; singular values below a relative cut count as zero."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    cut = 4 * torch.finfo(x.dtype).eps * max(x.shape[-2:]) * s[..., :1]
    return (u * (s > cut).to(x.dtype).unsqueeze(-2)) @ vh


def polar_newton_schulz(
    x: Tensor, coefficients: tuple[tuple[float, float, float], ...], dtype: torch.dtype
) -> Tensor:
    """Return x, scaled to Frobenius norm 1, under the maps y ↦ a y + b (y yᵀ) y + c (y yᵀ)² y."""
    largest = x.abs().amax((-2, -1), keepdim=True)
    y = (x / torch.where(largest == 0, 1.0, largest)).to(dtype)
    y = y.mT if x.shape[-2] > x.shape[-1] else y
    norm = torch.linalg.matrix_norm(y, keepdim=True)
    y = y / torch.where(norm == 0, 1.0, norm)
    for a, b, c in coefficients:
        gram = y @ y.mT
        y = a * y + (b * gram + c * (gram @ gram)) @ y
    return (y.mT if x.shape[-2] > x.shape[-1] else y).to(x.dtype)
