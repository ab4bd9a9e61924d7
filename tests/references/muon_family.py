"""What is done around Muon's polar factor, literally.

AdaMuon arXiv:2507.11005; NorMuon 2510.05491; Turbo-Muon 2512.04632; AuON 2509.24320;
inexact steps 2510.19933; ROOT 2511.20626.
"""

import torch

from references.tools import ema, polar


def nesterov(g, state, momentum):
    return (1 - momentum) * g + momentum * ema(state, "m", g, momentum)


def tall(w):
    return max(1, w.shape[0] / w.shape[1]) ** 0.5


def adamuon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, eps=1e-8, weight_decay=0.01):
    o = polar(nesterov(g, state, momentum).sign())
    z = o / (ema(state, "v", o * o, momentum).sqrt() + eps)
    return (1 - lr * weight_decay) * w - lr * 0.2 * w.numel() ** 0.5 * z / z.norm()


def normuon(
    w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, beta2=0.95, eps=1e-10, weight_decay=0.0
):
    o = polar(nesterov(g, state, momentum))
    z = o / (ema(state, "v", (o * o).mean(1, keepdim=True), beta2).sqrt() + eps)
    return (1 - lr * weight_decay) * w - lr * tall(w) * z * (o.norm() / z.norm())


def turbo_muon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, weight_decay=0.0):
    """On the wide orientation: rows divided by the roots of the sums of their inner products."""
    u = nesterov(g, state, momentum)
    wide = u if w.shape[0] <= w.shape[1] else u.T
    sums = (wide @ wide.T).abs().sum(1, keepdim=True)
    o = polar(wide / torch.where(sums == 0, 1.0, sums).sqrt())
    return (1 - lr * weight_decay) * w - lr * tall(w) * (o if wide is u else o.T)


def auon(w, g, t, state, *, loss=None, lr=0.24, momentum=0.95, gain=1.0):
    u = nesterov(g, state, momentum)
    u = u / u.norm()
    return w - lr * tall(w) * u / (torch.cosh(gain * u) ** 2).mean().sqrt()


def towards_polar(x):
    return (3.4445 * x) - 4.775 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)


def hybrid_auon(w, g, t, state, *, loss=None, lr=0.24, momentum=0.95, gain=1.0):
    u = nesterov(g, state, momentum)
    u = towards_polar(u / u.norm())
    u = u / u.norm()
    return w - lr * tall(w) * u / (torch.cosh(gain * u) ** 2).mean().sqrt()


def inexact_muon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, error=0.3):
    u = nesterov(g, state, momentum)
    o = towards_polar(towards_polar(towards_polar(u / u.norm())))
    return w - lr * (1 - error) / (1 + error) ** 2 * o


def root_muon(w, g, t, state, *, loss=None, lr=1e-3, momentum=0.95, share=0.9, weight_decay=0.1):
    u = nesterov(g, state, momentum)
    cut = float(torch.quantile(u.abs(), share))
    size = 0.2 * max(w.shape) ** 0.5
    return (1 - lr * weight_decay) * w - lr * size * polar(u.clamp(-cut, cut))
