"""Shortened gradients, literally: arXiv:1211.5063, 2102.06171, 2303.02854."""


def clipped_sgd(w, g, t, state, *, loss=None, lr=0.1, limit=1.0):
    return w - lr * (g if g.norm() <= limit else limit * g / g.norm())


def agc_sgd(w, g, t, state, *, loss=None, lr=0.1, momentum=0.9, limit=1e-2, eps=1e-3):
    g = g.clone()
    for i in range(len(g)):
        most = limit * max(float(w[i].norm()), eps)
        if g[i].norm() > most:
            g[i] *= most / g[i].norm()
    state["buffer"] = momentum * state.get("buffer", 0 * w) + g
    return w - lr * state["buffer"]


def gradient_power_sgd(w, g, t, state, *, loss=None, lr=0.01, power=0.5):
    return w - lr * g / g.norm() ** power
