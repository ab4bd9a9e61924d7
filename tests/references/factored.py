"""Adam with less to remember, literally: arXiv:1804.04235, 2406.16793, 2411.07120."""

import torch

from references.tools import ema


def adafactor(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1e-2,
    power=0.8,
    limit=1.0,
    eps1=1e-30,
    eps2=1e-3,
    weight_decay=0.0,
):
    beta = 1 - t**-power
    r = ema(state, "R", (g**2 + eps1).sum(1), beta)
    c = ema(state, "C", (g**2 + eps1).sum(0), beta)
    u = g / (torch.outer(r, c) / r.sum()).sqrt()
    u = u / max(1.0, float(u.square().mean().sqrt()) / limit)
    rate = max(eps2, float(w.square().mean().sqrt())) * min(lr, t**-0.5)
    return (1 - lr * weight_decay) * w - rate * u


def adam_mini(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2
):
    m = ema(state, "m", g, beta1) / (1 - beta1**t)
    v = ema(state, "v", (g * g).mean(1, keepdim=True), beta2) / (1 - beta2**t)
    return (1 - lr * weight_decay) * w - lr * m / (v.sqrt() + eps)


def adam_subset_norm(w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    axis = 1 if w.shape[0] >= w.shape[1] else 0
    v = ema(state, "v", (g * g).sum(axis, keepdim=True), beta2)
    size = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    return w - size * ema(state, "m", g, beta1) / (v.sqrt() + eps)
