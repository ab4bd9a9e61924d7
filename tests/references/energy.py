"""SGD slowed down by energies and metrics, literally: arXiv:2010.05109, 2203.12191, 2509.03594."""

import torch

from references.tools import ema


def energy(g, state, loss, lr, c):
    """The gradient of √(f + c), and the energies of the entries."""
    root = (loss + c) ** 0.5
    v = g / (2 * root)
    state["r"] = state.get("r", torch.full_like(g, root)) / (1 + 2 * lr * v * v)
    return v, state["r"]


def aegd(w, g, t, state, *, loss=None, lr=0.1, c=1.0):
    v, r = energy(g, state, loss, lr, c)
    return w - 2 * lr * r * v


def aegdm(w, g, t, state, *, loss=None, lr=0.01, momentum=0.9, c=1.0):
    v, r = energy(g, state, loss, lr, c)
    state["m"] = momentum * state.get("m", 0 * g) + v
    return w - 2 * lr * r * state["m"]


def graph(g, t, state, momentum, beta, xi):
    e = ema(state, "e", xi * (g * g).sum(), beta) / (1 - beta**t)
    return float(e), ema(state, "m", g, momentum) / (1 - momentum**t)


def induced_metric(
    w, g, t, state, *, loss=None, lr=0.1, momentum=0.9, beta=0.8, xi=0.1, weight_decay=0.0
):
    e, m = graph(g, t, state, momentum, beta, xi)
    return w - lr / (1 + e) * m - lr * weight_decay * w


def induced_log_metric(
    w, g, t, state, *, loss=None, lr=0.1, momentum=0.9, beta=0.8, xi=0.1, weight_decay=0.0
):
    e, m = graph(g, t, state, momentum, beta, xi)
    return w - lr * loss / (loss**2 + e) * m - lr * weight_decay * w
