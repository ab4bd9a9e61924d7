"""What the loops share: averages, polar factors, roots and eigenvectors, in float64."""

import numpy as np
import torch

#: Singular values and eigenvalues below this share of the largest count as zero.
CUT = 1e-13


def ema(state, name, x, beta):
    """s ← β s + (1 − β) x from zero; returns the new s."""
    state[name] = beta * state.get(name, torch.zeros_like(x)) + (1 - beta) * x
    return state[name]


def moments(g, t, state, beta1, beta2):
    """First and second moments, each divided by its 1 − β^t."""
    m = ema(state, "m", g, beta1) / (1 - beta1**t)
    return m, ema(state, "v", g * g, beta2) / (1 - beta2**t)


def eye(size, like):
    return torch.eye(size, dtype=like.dtype)


def polar(x):
    """U_r V_rᵀ of X = U S Vᵀ, the partial isometry."""
    u, s, vh = np.linalg.svd(x.numpy(), full_matrices=False)
    keep = s > CUT * s[0]
    return torch.as_tensor(u[:, keep] @ vh[keep])


def nuclear(x):
    """Sum of the singular values."""
    return float(np.linalg.svd(x.numpy(), compute_uv=False).sum())


def root(x, p):
    """X^p of a positive semidefinite matrix, on its range."""
    values, vectors = np.linalg.eigh(x.numpy())
    keep = values > CUT * values[-1]
    return torch.as_tensor((vectors[:, keep] * values[keep] ** p) @ vectors[:, keep].T)


def eigenvectors(x):
    """Orthonormal eigenvectors as columns, largest eigenvalue first."""
    return torch.as_tensor(np.linalg.eigh(x.numpy())[1][:, ::-1].copy())


def divide(x, d):
    """x / d entry by entry, 0 where d = 0."""
    return torch.where(d == 0, 0.0, x / torch.where(d == 0, 1.0, d))
