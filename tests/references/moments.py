"""Relatives of Adam, literally.

AdaBelief arXiv:2010.07468; Adan 2208.06677; MARS 2411.10438; Adadelta 1212.5701; QHAdam 1810.06801;
optimistic AMSGrad 1903.01435.
"""

import torch

from references.tools import ema, moments


def adabelief(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    m = ema(state, "m", g, beta1)
    s = state.get("s", torch.zeros_like(g))
    state["s"] = s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
    m, s = m / (1 - beta1**t), s / (1 - beta2**t)
    return w - lr * weight_decay * w - lr * m / (s.sqrt() + eps)


def adan(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1e-3,
    beta1=0.98,
    beta2=0.92,
    beta3=0.99,
    eps=1e-8,
    weight_decay=0.02,
):
    change = g - state.get("before", g)
    state["before"] = g
    m = ema(state, "m", g, beta1) / (1 - beta1**t)
    v = ema(state, "v", change, beta2) / (1 - beta2**t)
    n = ema(state, "n", (g + beta2 * change) ** 2, beta3) / (1 - beta3**t)
    w = w - lr * (m + beta2 * v) / (n.sqrt() + eps)
    return w / (1 + lr * weight_decay)


def mars(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=3e-3,
    beta1=0.95,
    beta2=0.99,
    gamma=0.025,
    eps=1e-8,
    weight_decay=0.0,
):
    c = g + gamma * beta1 / (1 - beta1) * (g - state.get("before", torch.zeros_like(g)))
    state["before"] = g
    c = c / max(1.0, float(c.norm()))
    m, v = ema(state, "m", c, beta1), ema(state, "v", c * c, beta2)
    denominator = (v.sqrt() + eps) / (1 - beta2**t) ** 0.5 * (1 - beta1**t)
    return w - lr * weight_decay * w - lr * m / denominator


def adadelta(w, g, t, state, *, loss=None, lr=1.0, rho=0.9, eps=1e-6):
    v = ema(state, "v", g * g, rho)
    u = state.get("u", torch.zeros_like(g))
    step = (u + eps).sqrt() / (v + eps).sqrt() * g
    ema(state, "u", step**2, rho)
    return w - lr * step


def qhadam(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.995, beta2=0.999, nu=0.7, eps=1e-8):
    m, v = moments(g, t, state, beta1, beta2)
    return w - lr * ((1 - nu) * g + nu * m) / (v.sqrt() + eps)


def optimistic_amsgrad(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """The prediction of a gradient is the one before it, 0 at first."""
    predicted, x = state.get("predicted", torch.zeros_like(g)), state.get("x", w)
    m, v = ema(state, "m", g, beta1), ema(state, "v", (g - predicted) ** 2, beta2)
    state["largest"] = torch.maximum(state.get("largest", torch.zeros_like(v)), v)
    rate = lr / (state["largest"].sqrt() + eps)
    state["predicted"], state["x"] = g, x - rate * m
    return state["x"] - rate * (beta1 * m + (1 - beta1) * g)
