"""Powers and eigenvectors of batches of symmetric matrices, and pseudo-inverses."""

from __future__ import annotations

import torch
from torch import Tensor


def symmetric_power(s: Tensor, p: float | Tensor) -> Tensor:
    """Return s^p on the range of s, s^0 = I; eigenvalues below a relative cut count as zero."""
    return symmetric_powers(s, (p,))[0]


def symmetric_powers(s: Tensor, exponents: tuple[float | Tensor, ...]) -> tuple[Tensor, ...]:
    """Return s^p for each of several p, of one eigendecomposition."""
    values, vectors = torch.linalg.eigh(s)
    cut = 4 * torch.finfo(s.dtype).eps * s.shape[-1] * values[..., -1:]
    kept = values > cut.clamp_min(0)
    safe, found = torch.where(kept, values, 1.0), []
    for p in exponents:
        of_zero = (p == 0).to(s.dtype) if isinstance(p, Tensor) else float(p == 0)
        powers = torch.where(kept, safe**p, of_zero)
        found.append((vectors * powers.unsqueeze(-2)) @ vectors.mT)
    return tuple(found)


def cholesky_factor(s: Tensor) -> Tensor:
    """Return the lower triangular C with C Cᵀ = s and a diagonal ≥ 0, also of a singular s."""
    values, vectors = torch.linalg.eigh(s)
    root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
    r = torch.linalg.qr(root.mT).R
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    return (r * (1 - 2 * (diagonal < 0).to(r.dtype)).unsqueeze(-1)).mT


def pseudo_inverse(x: Tensor) -> Tensor:
    """Return the Moore-Penrose inverse."""
    return torch.linalg.pinv(x)


def sorted_eigenvalues(s: Tensor) -> Tensor:
    """Return the eigenvalues in a column, largest first."""
    return torch.linalg.eigvalsh(s).flip(-1).unsqueeze(-1)


def sorted_eigenvectors(s: Tensor) -> Tensor:
    """Return orthonormal eigenvectors as columns, largest eigenvalue first.

    The sign is chosen so that the largest entry of each is positive.
    """
    vectors = torch.linalg.eigh(s).eigenvectors.flip(-1)
    largest = vectors.gather(-2, vectors.abs().argmax(-2, keepdim=True))
    return torch.where(largest < 0, -vectors, vectors)
