"""The Adam family and its ancestors, literally, with each eps where its paper or torch has it.

Duchi et al. 2011; Tieleman and Hinton 2012; arXiv:1412.6980, 1711.05101, 1904.09237, 2312.17369.
"""

import torch

from references.tools import ema, moments


def adam(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = moments(g, t, state, beta1, beta2)
    return w - lr * m / (v.sqrt() + eps)


def adamw(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2
):
    m, v = moments(g, t, state, beta1, beta2)
    return w - lr * weight_decay * w - lr * m / (v.sqrt() + eps)


def amsgrad(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = ema(state, "m", g, beta1) / (1 - beta1**t)
    v = ema(state, "v", g * g, beta2)
    state["largest"] = torch.maximum(state.get("largest", torch.zeros_like(v)), v)
    return w - lr * m / ((state["largest"] / (1 - beta2**t)).sqrt() + eps)


def adamax(w, g, t, state, *, loss=None, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = ema(state, "m", g, beta1)
    state["u"] = torch.maximum(beta2 * state.get("u", torch.zeros_like(g)), g.abs() + eps)
    return w - lr / (1 - beta1**t) * m / state["u"]


def rmsprop(w, g, t, state, *, loss=None, lr=1e-2, alpha=0.99, eps=1e-8):
    return w - lr * g / (ema(state, "v", g * g, alpha).sqrt() + eps)


def adagrad(w, g, t, state, *, loss=None, lr=1e-2, eps=1e-10):
    state["sum"] = state.get("sum", torch.zeros_like(g)) + g * g
    return w - lr * g / (state["sum"].sqrt() + eps)


def adam_sania(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    return w - lr * weight_decay * w - lr * m / (v + eps)
