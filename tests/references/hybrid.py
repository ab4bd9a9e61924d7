"""Spectral norms behind a preconditioner, literally.

RMSspectral: Carlson et al. 2015. MuAdam, MuAdam-SANIA: arXiv:2510.10777.
"""

import torch

from references.shampoo import kl_factors
from references.tools import divide, ema, moments, nuclear, polar


def muadam(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    d = (v.sqrt() + eps).sqrt()
    return w - lr * weight_decay * w - lr * polar(m / d) / d


def muadam_sania(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    d = v.sqrt() + eps
    return w - lr * weight_decay * w - lr * polar(m / d) / d


def bounded_muadam_sania(
    w, g, t, state, *, loss=None, lr=3e-4, beta1=0.9, beta2=0.999, bound=0.1, weight_decay=0.0
):
    m, v = moments(g, t, state, beta1, beta2)
    d = v.sqrt()
    furthest = bound * state.setdefault("first", w.abs())
    step = divide(lr * polar(divide(m, d)), d)
    return w - lr * weight_decay * w - torch.minimum(torch.maximum(step, -furthest), furthest)


def rmsspectral(w, g, t, state, *, loss=None, lr=1e-3, alpha=0.95, eps=1e-8):
    d = (ema(state, "v", g * g, alpha).sqrt() + eps).sqrt()
    x = g / d
    return w - lr * nuclear(x) * polar(x) / d


def affine_muon(w, g, t, state, *, loss=None, lr=0.02, beta1=0.9, beta2=0.98, start=0.1):
    left, right = kl_factors(g, state, beta2, start)
    return w - lr * left @ polar(left @ ema(state, "m", g, beta1) @ right) @ right


def polyak_muadam_sania(w, g, t, state, *, loss=None, lr=1.0, beta1=0.9, beta2=0.999, floor=0.0):
    return w - _polyak_move(w, g, t, state, loss, lr, beta1, beta2, floor)


def bounded_polyak_muadam_sania(
    w, g, t, state, *, loss=None, lr=1.0, beta1=0.9, beta2=0.999, bound=0.1, floor=0.0
):
    furthest = bound * state.setdefault("first", w.abs())
    step = _polyak_move(w, g, t, state, loss, lr, beta1, beta2, floor)
    return w - torch.minimum(torch.maximum(step, -furthest), furthest)


def _polyak_move(w, g, t, state, loss, lr, beta1, beta2, floor):
    m, v = moments(g, t, state, beta1, beta2)
    d = v.sqrt()
    x = divide(m, d)
    dual = nuclear(x)
    sharp = divide(dual * polar(x), d)
    intercept = ema(state, "f", loss - (w * g).sum(), beta1)
    model = float(intercept) / (1 - beta1**t) + float((w * m).sum())
    return lr * max(model - floor, 0) / dual**2 * sharp
