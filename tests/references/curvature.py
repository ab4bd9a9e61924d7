"""Second-order rules, literally, on all weights as one vector.

A loop is `rule(w, f, t, state, z, **hyper)`: f is the loss of the step as torch function of w, z
the random signs of the step. Nothing here imports normdsl.

arXiv:2006.00719, 2305.14342, 2109.05198, 2211.00140, 2506.13710; Dembo et al. 1982.
"""

import math

import torch

from references.tools import ema


def slope(f, w):
    at = w.clone().requires_grad_()
    return torch.autograd.grad(f(at), at)[0]


def product(f, w, v):
    """H v by double backward."""
    at = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(f(at), at, create_graph=True)
    return torch.autograd.grad(g @ v, at)[0]


def conjugate_gradients(apply, b, iterations=3):
    """A textbook's loop for A x = b, from 0."""
    x, r, p = torch.zeros_like(b), b, b
    for _ in range(iterations):
        image = apply(p)
        rate = (r @ r) / (p @ image)
        x, after = x + rate * p, r - rate * image
        p = after + (after @ after) / (r @ r) * p
        r = after
    return x


def adahessian(
    w, f, t, state, z, *, lr=0.15, beta1=0.9, beta2=0.999, eps=1e-4, power=1.0, weight_decay=0.0
):
    m = ema(state, "m", slope(f, w), beta1) / (1 - beta1**t)
    v = ema(state, "v", product(f, w, z).abs() ** 2, beta2) / (1 - beta2**t)
    return w - lr * (m / (v.sqrt() ** power + eps) + weight_decay * w)


def sophia(
    w, f, t, state, z, *, lr=1e-3, beta1=0.96, beta2=0.99, gamma=0.01, eps=1e-12, weight_decay=0.0
):
    m = ema(state, "m", slope(f, w), beta1)
    h = ema(state, "h", z * product(f, w, z), beta2)
    w = w - lr * weight_decay * w
    return w - lr * (m / (gamma * h).clamp_min(eps)).clamp(-1, 1)


def oasis(w, f, t, state, z, *, lr=0.1, beta=0.999, floor=0.01):
    d = ema(state, "d", z * product(f, w, z), beta) / (1 - beta**t)
    return w - lr * slope(f, w) / d.abs().clamp_min(floor)


def newton_cg(w, f, t, state, z, *, lr=1.0, damping=1e-3):
    return w - lr * conjugate_gradients(lambda v: product(f, w, v) + damping * v, slope(f, w))


def aicn(w, f, t, state, z, *, smoothness=1.0):
    g = slope(f, w)
    d = conjugate_gradients(lambda v: product(f, w, v), g)
    n = smoothness * math.sqrt(g @ d)
    return w - (math.sqrt(1 + 2 * n) - 1) / n * d


def gns_newton(w, f, t, state, z, *, start=1.0):
    g, k = slope(f, w), state.setdefault("k", 0)
    damping = g.norm() / (start * 2.0**k)
    trial = w - conjugate_gradients(lambda v: product(f, w, v) + damping * v, g)
    succeeds = f(w) - f(trial) >= slope(f, trial).norm() ** 2 / (8 * damping)
    state["k"] = min(40, k + 1) if succeeds else max(-40, k - 1)
    return trial if succeeds else w


RULES = [adahessian, sophia, oasis, newton_cg, aicn, gns_newton]
CURVATURE = {rule.__name__: rule for rule in RULES}
