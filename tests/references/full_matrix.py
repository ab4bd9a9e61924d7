"""Statistics on all pairs of entries, literally: full AdaGrad, natural gradient, online BFGS.

Duchi et al. 2011; Amari 1998; Schraudolph et al. 2007; Nocedal and Wright 2006, section 6.1.
"""

import torch

from references.tools import eye, root


def full_matrix_adagrad(w, g, t, state, *, loss=None, lr=1e-2, eps=1e-6):
    x = g.reshape(-1)
    state["S"] = state.get("S", 0) + torch.outer(x, x)
    step = torch.linalg.solve(root(state["S"], 0.5) + eps * eye(len(x), w), x)
    return w - lr * step.reshape(w.shape)


def natural_gradient(w, g, t, state, *, loss=None, lr=1e-2, beta=0.95, damping=1e-3, start=1.0):
    x = g.reshape(-1)
    fisher = state.get("F", start * eye(len(x), w))
    state["F"] = beta * fisher + (1 - beta) * torch.outer(x, x)
    step = torch.linalg.solve(state["F"] + damping * eye(len(x), w), x)
    return w - lr * step.reshape(w.shape)


def updated(h, s, y):
    """(I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ."""
    curvature = float(s @ y)
    if curvature <= 0:
        return h
    turn = eye(len(s), s) - torch.outer(s, y) / curvature
    return turn @ h @ turn.T + torch.outer(s, s) / curvature


def online_bfgs(w, g, t, state, *, loss=None, ask=None, lr=0.1, damping=0.1, start=1.0):
    h = state.get("H", start * eye(w.numel(), w))
    s = -lr * h @ g.reshape(-1)
    new = w + s.reshape(w.shape)
    state["H"] = updated(h, s, (ask.grad(new) - g).reshape(-1) + damping * s)
    return new
