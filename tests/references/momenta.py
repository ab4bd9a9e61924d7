"""SGD by other momenta, literally.

Sutskever et al., 2013; QHM arXiv:1810.06801; accelerated SGD 1803.05591; optimistic SGD 1711.00141.
"""

from references.tools import ema


def nesterov_sgd(w, g, t, state, *, loss=None, lr=1e-3, momentum=0.9, weight_decay=0.0):
    g = g + weight_decay * w
    state["buffer"] = momentum * state.get("buffer", 0 * w) + g
    return w - lr * (g + momentum * state["buffer"])


def qhm(w, g, t, state, *, loss=None, lr=1.0, beta=0.999, nu=0.7):
    return w - lr * ((1 - nu) * g + nu * ema(state, "m", g, beta))


def accelerated_sgd(w, g, t, state, *, loss=None, lr=1e-3, kappa=1000.0, xi=10.0, small=0.7):
    beta = small**2 * xi / kappa
    zeta = small / (small + beta)
    running = state.get("running", w)
    state["running"] = beta * ((1 / beta - 1) * running - lr * kappa / small * g + w)
    return zeta * (w - lr * g) + (1 - zeta) * state["running"]


def optimistic_sgd(w, g, t, state, *, loss=None, lr=1e-2):
    before = state.get("before", 0 * g)
    state["before"] = g
    return w - 2 * lr * g + lr * before
