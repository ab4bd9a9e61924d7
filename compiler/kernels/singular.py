"""Singular values and vectors of batches of matrices."""

from __future__ import annotations

import torch
from torch import Tensor


def singular_values(x: Tensor) -> Tensor:
    """Return the singular values as a column, largest first."""
    return torch.linalg.svdvals(x).unsqueeze(-1)


def singular_triple(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, σ as a column, and Vᵀ with x = U diag(σ) Vᵀ; σ below a relative cut is zero."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    cut = 4 * torch.finfo(x.dtype).eps * max(x.shape[-2:]) * s[..., :1]
    return u, torch.where(s > cut, s, 0.0).unsqueeze(-1), vh
