"""Steps with noise, literally: arXiv:1607.00133, 2405.09742."""

import math

from references.draws import entries, standard_normal, uniform


def dp_sgd(w, g, t, state, *, loss=None, lr=0.1, limit=1.0, noise=1.0, examples=256.0):
    g = g * min(1.0, limit / float(g.norm()))
    xi = entries(t, 6, w.shape, standard_normal)
    return w - lr * (g + noise * limit * xi / examples)


def random_scaling(w, g, t, state, *, loss=None, lr=1e-2, beta=0.9):
    state["step"] = beta * state.get("step", 0 * w) - lr * g
    return w - math.log(uniform(t, key=32)) * state["step"]
