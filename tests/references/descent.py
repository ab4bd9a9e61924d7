"""SGD and sign methods, literally: Polyak 1964, arXiv:2002.03305, 1802.04560, 2302.06675."""

import torch

from references.tools import ema


def sgd(w, g, t, state, *, loss=None, lr=1e-3, weight_decay=0.0):
    return w - lr * (g + weight_decay * w)


def sgd_momentum(w, g, t, state, *, loss=None, lr=1e-3, momentum=0.9, weight_decay=0.0):
    buffer = state.get("buffer", torch.zeros_like(w))
    state["buffer"] = momentum * buffer + (g + weight_decay * w)
    return w - lr * state["buffer"]


def normalized_sgd(w, g, t, state, *, loss=None, lr=1e-3, beta=0.9):
    m = ema(state, "m", g, beta)
    return w - lr * m / m.square().sum().sqrt()


def sign_sgd(w, g, t, state, *, loss=None, lr=1e-4):
    return w - lr * g.sign()


def signum(w, g, t, state, *, loss=None, lr=1e-4, beta=0.9, weight_decay=0.0):
    return w - lr * weight_decay * w - lr * ema(state, "m", g, beta).sign()


def lion(w, g, t, state, *, loss=None, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    old = state.get("m", torch.zeros_like(w))
    direction = beta1 * old + (1 - beta1) * g
    state["m"] = beta2 * old + (1 - beta2) * g
    return (1 - lr * weight_decay) * w - lr * direction.sign()
