"""Steps that agree with the gradient, literally: arXiv:2411.16085, 2412.17107."""

from references.muon_family import nesterov, tall
from references.tools import ema, moments, polar


def masked(u, g):
    """Only entries that agree in sign are kept; they make up for the others."""
    agree = (u * g > 0).to(u.dtype)
    return u * agree * (u.numel() / (agree.sum() + 1))


def cautious_adamw(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    return (1 - lr * weight_decay) * w - lr * masked(m / (v.sqrt() + eps), g)


def cautious_lion(w, g, t, state, *, loss=None, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    old = state.get("m", 0 * g)
    ema(state, "m", g, beta2)
    return (1 - lr * weight_decay) * w - lr * masked((beta1 * old + (1 - beta1) * g).sign(), g)


def cautious_muon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, weight_decay=0.0):
    u = polar(nesterov(g, state, momentum))
    return (1 - lr * weight_decay) * w - lr * tall(w) * masked(u, g)


def grams(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    return (1 - lr * weight_decay) * w - lr * g.sign() * (m / (v.sqrt() + eps)).abs()
