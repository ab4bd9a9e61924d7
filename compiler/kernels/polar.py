"""Polar factors of batches of matrices, by factorisations."""

from __future__ import annotations

import torch
from torch import Tensor


def polar_svd(x: Tensor) -> Tensor:
    """Return U_r V_rᵀ of x = U S Vᵀ; singular values below a relative cut count as zero."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    cut = 4 * torch.finfo(x.dtype).eps * max(x.shape[-2:]) * s[..., :1]
    return (u * (s > cut).to(x.dtype).unsqueeze(-2)) @ vh


def polar_qr(x: Tensor) -> Tensor:
    """Return the polar factor by x = Q R along the long side and the SVD of R."""
    wide = x.shape[-2] < x.shape[-1]
    q, r = torch.linalg.qr(x.mT if wide else x)
    u, s, vh = torch.linalg.svd(r)
    cut = 4 * torch.finfo(x.dtype).eps * max(x.shape[-2:]) * s[..., :1]
    y = q @ ((u * (s > cut).to(x.dtype).unsqueeze(-2)) @ vh)
    return y.mT if wide else y


def polar_gram(x: Tensor) -> Tensor:
    """Return (x xᵀ)^{-1/2} x on the short side; eigenvalues below a relative cut count as zero.

    So singular values below √(4 k eps) of the largest do, k the short side.
    """
    largest = x.abs().amax((-2, -1), keepdim=True)
    y = x / torch.where(largest == 0, 1.0, largest)
    y = y.mT if x.shape[-2] > x.shape[-1] else y
    values, vectors = torch.linalg.eigh(y @ y.mT)
    kept = values > 4 * torch.finfo(x.dtype).eps * values.shape[-1] * values[..., -1:]
    roots = torch.where(kept, torch.where(kept, values, 1.0).rsqrt(), 0.0)
    y = (vectors * roots.unsqueeze(-2)) @ (vectors.mT @ y)
    return y.mT if x.shape[-2] > x.shape[-1] else y
