"""MADGRAD (Defazio and Jelassi, 2021, arXiv:2101.11075), and the Adam-shaped row named after it."""

import torch

from references.tools import moments


def madgrad(w, g, t, state, *, loss=None, lr=1e-2, momentum=0.9, eps=1e-6):
    """Dual averaging with cube roots: k = t − 1, weights lr √(k + 1), an average of iterates."""
    state.setdefault("start", w)
    weight = lr * t**0.5
    state["sum"] = state.get("sum", torch.zeros_like(g)) + weight * g
    state["squares"] = state.get("squares", torch.zeros_like(g)) + weight * g * g
    z = state["start"] - state["sum"] / (state["squares"] ** (1 / 3) + eps)
    return momentum * w + (1 - momentum) * z


def madgrad_ema(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = moments(g, t, state, beta1, beta2)
    return w - lr * m / (v ** (1 / 3) + eps)
