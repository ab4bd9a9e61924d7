"""Orthonormal columns of batches of matrices: by QR decompositions, and singular vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def orthonormal_columns(x: Tensor) -> Tensor:
    """Return Q of x = Q R with the diagonal of R ≥ 0."""
    q, r = torch.linalg.qr(x)
    return q * (1 - 2 * (r.diagonal(dim1=-2, dim2=-1) < 0).to(q.dtype)).unsqueeze(-2)


def leading_vectors(x: Tensor, rank: int) -> Tensor:
    """Return the left singular vectors of the `rank` largest singular values as columns.

    The sign is chosen so that the largest entry of each is positive.
    """
    u = torch.linalg.svd(x, full_matrices=False).U[..., :rank]
    largest = u.gather(-2, u.abs().argmax(-2, keepdim=True))
    return torch.where(largest < 0, -u, u)


def selected(scores: Tensor, rank: int) -> Tensor:
    """Return the columns of the identity at the `rank` largest scores of columns, largest first."""
    places = scores.sort(dim=-2, descending=True, stable=True).indices[..., :rank, :].mT
    shape = (*scores.shape[:-1], rank)
    return torch.zeros(shape, dtype=scores.dtype, device=scores.device).scatter(-2, places, 1.0)


def cosines(count: int, like: Tensor) -> Tensor:
    """Return the orthogonal matrix of the DCT-II of `count` points, in the dtype of a tensor."""
    k = torch.arange(count, dtype=like.dtype, device=like.device)
    waves = torch.cos(torch.pi / (2 * count) * (2 * k + 1).unsqueeze(-1) * k)
    return waves * ((2 - (k == 0).to(k.dtype)) / count).sqrt()
