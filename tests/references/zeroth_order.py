"""JAGUAR, literally: one coordinate a step (arXiv:2409.10442, 2506.04430)."""

import torch

from references.draws import entries, uniform
from references.tools import polar


def measured(w, t, state, ask, far, beta):
    """A gradient, renewed in the entry whose random number is the largest."""
    h = state.setdefault("h", torch.zeros_like(w))
    i, j = divmod(int(entries(t, 38, w.shape, uniform).argmax()), w.shape[1])
    e = torch.zeros_like(w)
    e[i, j] = far
    h[i, j] = beta * h[i, j] + (1 - beta) * (ask.loss(w + e) - ask.loss(w - e)) / (2 * far)
    return h


def jaguar_sign(w, g, t, state, *, loss=None, ask=None, lr=1e-3, beta=0.9, far=1e-2):
    return w - lr * measured(w, t, state, ask, far, beta).sign()


def jaguar_muon(w, g, t, state, *, loss=None, ask=None, lr=1e-3, beta=0.9, far=1e-2):
    return w - lr * polar(measured(w, t, state, ask, far, beta))


def jaguar_frank_wolfe(w, g, t, state, *, loss=None, ask=None, radius=1.0, far=1e-2):
    vertex = -radius * polar(measured(w, t, state, ask, far, 0.0))
    return w + 2 / (t + 1) * (vertex - w)
