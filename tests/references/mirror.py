"""Steps that keep to a set, literally: arXiv:2510.02730, 2105.13913."""

from references.tools import polar


def exponentiated_gradient(w, g, t, state, *, loss=None, lr=0.01):
    return w * (-lr * g * w.sign()).exp()


def frank_wolfe(w, g, t, state, *, loss=None, radius=10.0):
    k = t - 1
    vertex = -radius * polar(g)
    return w + 2 / (k + 2) * (vertex - w)
