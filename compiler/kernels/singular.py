"""Singular values and vectors of batches of matrices."""

from __future__ import annotations

import torch
from torch import Tensor


def singular_values(x: Tensor) -> Tensor:
    """Return the singular values as a column, largest first."""
    return torch.linalg.svdvals(x).unsqueeze(-1)


def singular_triple(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, σ as a column, and Vᵀ with x = U diag(σ) Vᵀ.

    Values of σ below a relative cut are zero, and neighbours that rounding cannot tell apart are
    equal: functions that choose among σ then commute with rotations where some are repeated.
    """
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    unit = 4 * torch.finfo(x.dtype).eps * s[..., :1]
    s = torch.where(s > max(x.shape[-2:]) * unit, s, 0.0)
    step = torch.cat([s[..., :1], s[..., :-1]], -1) - s > 4 * unit
    place = torch.arange(s.shape[-1], device=s.device)
    first = torch.cummax(torch.where(step, place, 0), -1).values
    return u, s.gather(-1, first).unsqueeze(-1), vh
