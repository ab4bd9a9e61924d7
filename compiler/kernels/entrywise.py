"""Entrywise functions and norms that torch does not have as one call."""

from __future__ import annotations

import torch
from torch import Tensor


def reciprocal(x: Tensor) -> Tensor:
    """Return 1/x, and 0 where x = 0."""
    zero = x == 0
    return torch.where(zero, 0.0, 1 / torch.where(zero, 1.0, x))


def schatten_norm(x: Tensor, p: float) -> Tensor:
    """Return the ℓp norm of the singular values, as a 1×1 matrix."""
    return torch.linalg.vector_norm(torch.linalg.svdvals(x), p, -1)[..., None, None]
