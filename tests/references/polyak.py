"""Steps by the value of the loss, literally, of one layer, which is then all of them.

Polyak 1987; SPS arXiv:2002.10542; ALR 2305.12939; MoMo 2305.07583; SANIA 2312.17369.
"""

import torch

from references.tools import ema, moments


def square(x):
    return float((x * x).sum())


def polyak_sgd(w, g, t, state, *, loss=None, lr=1.0, floor=0.0):
    return w - lr * max(loss - floor, 0) / square(g) * g


def sps_max(w, g, t, state, *, loss=None, limit=1.0, c=0.5, floor=0.0):
    return w - min(limit, max(loss - floor, 0) / (c * square(g))) * g


def sps_smoothed(w, g, t, state, *, loss=None, start=1.0, c=0.5, growth=2.0, share=0.01):
    grown = growth**share * state.get("rate", start)
    state["rate"] = min(grown, max(loss, 0) / (c * square(g)))
    return w - state["rate"] * g


def alr_smag(
    w, g, t, state, *, loss=None, limit=0.1, momentum=0.9, c=1.0, weight_decay=0.0, floor=0.0
):
    state["d"] = d = momentum * state.get("d", 0 * g) + g
    rate = min(limit, max(loss - floor, 0) / (c * square(d)))
    return (1 - rate * weight_decay) * w - rate * d


def alr_hb(w, g, t, state, *, loss=None, momentum=0.9, floor=0.0):
    move = w - state.get("before", w)
    state["before"] = w
    rate = (loss - floor) / square(g) + momentum * float((g * move).sum()) / square(g)
    return w - rate * g + momentum * move


def modelled(w, g, t, state, beta, m, loss, floor):
    """How far the average of the linear models at the weights is above the floor."""
    f = state["f"] = beta * state.get("f", 0.0) + (1 - beta) * loss
    inner = state["gamma"] = beta * state.get("gamma", 0.0) + (1 - beta) * float((g * w).sum())
    return max((f - inner) / (1 - beta**t) + float((m * w).sum()) - floor, 0)


def momo(w, g, t, state, *, loss=None, lr=1.0, beta=0.9, floor=0.0):
    m = ema(state, "m", g, beta) / (1 - beta**t)
    return w - min(lr, modelled(w, g, t, state, beta, m, loss, floor) / square(m)) * m


def momo_adam(w, g, t, state, *, loss=None, lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-8, floor=0.0):
    m, v = moments(g, t, state, beta1, beta2)
    d = v.sqrt() + eps
    gap = modelled(w, g, t, state, beta1, m, loss, floor)
    return w - min(lr, gap / float((m * m / d).sum())) * m / d


def sqr(w, g, curvature, loss, floor):
    """The step that solves f + λ-scaled Newton decrease = f*, or the whole one."""
    s = g / curvature
    decrease, gap = float((g * s).sum()), max(loss - floor, 0)
    share = 1 - (1 - 2 * gap / decrease) ** 0.5 if 2 * gap <= decrease else 1.0
    return w - share * s


def adam_sqr(w, g, t, state, *, loss=None, beta2=0.999, eps=1e-8, floor=0.0):
    v = ema(state, "v", g * g, beta2) / (1 - beta2**t)
    return sqr(w, g, v + eps, loss, floor)


def adagrad_sqr(w, g, t, state, *, loss=None, eps=1e-8, floor=0.0):
    state["v"] = state.get("v", torch.zeros_like(g)) + g * g
    return sqr(w, g, state["v"] + eps, loss, floor)
