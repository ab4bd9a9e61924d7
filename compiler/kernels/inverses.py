"""Inverses of batches of positive definite matrices, mostly by products."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import in_place


def positive_inverse(s: Tensor) -> Tensor:
    """Return the inverse of each of a batch of positive definite matrices, b × k × k.

    On CPUs by halves, since products are faster there than factorisations: P = A^{-1}, C = B P and
    Q = (D − C Bᵀ)^{-1} make the inverse of [[A, Bᵀ], [B, D]], which is [[P + Cᵀ Q C, −Cᵀ Q],
    [−Q C, Q]]. Small ones, and those of other devices, by Cholesky's factor. The error of halves
    grows as the square of the condition number where a half is nearly singular and what is beside
    it is not small: above a thousand, in double precision only.
    """
    if s.shape[-1] <= 96 or not in_place(s):
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(s).L)
    half, found = s.shape[-1] // 2, torch.empty_like(s)
    upper, lower, beside = found[:, :half, :half], found[:, half:, half:], found[:, half:, :half]
    upper.copy_(positive_inverse(s[:, :half, :half]))
    c = torch.bmm(s[:, half:, :half], upper)
    lower.copy_(
        positive_inverse(torch.baddbmm(s[:, half:, half:], c, s[:, :half, half:], alpha=-1))
    )
    torch.bmm(lower, c, out=beside).neg_()
    torch.baddbmm(upper, c.mT, beside, alpha=-1, out=upper)
    found[:, :half, half:] = beside.mT
    return found
