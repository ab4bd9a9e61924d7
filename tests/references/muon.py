"""Muon (Jordan et al., 2024) and Scion (Pethick et al., 2025, arXiv:2502.07529), literally."""

from references.tools import ema, polar


def muon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, weight_decay=0.0):
    m = ema(state, "m", g, momentum)
    scale = max(1, w.shape[0] / w.shape[1]) ** 0.5
    nesterov = (1 - momentum) * g + momentum * m
    return w - lr * weight_decay * w - lr * scale * polar(nesterov)


def scion_unconstrained(w, g, t, state, *, loss=None, lr=2**-12, momentum=0.9, radius=50):
    m = ema(state, "m", g, momentum)
    return w - lr * radius * (w.shape[0] / w.shape[1]) ** 0.5 * polar(m)


def scion(w, g, t, state, *, loss=None, lr=2**-12, momentum=0.9, radius=50):
    """Frank–Wolfe: the convex combination of W and the vertex of the ball."""
    m = ema(state, "m", g, momentum)
    vertex = -radius * (w.shape[0] / w.shape[1]) ** 0.5 * polar(m)
    return (1 - lr) * w + lr * vertex
