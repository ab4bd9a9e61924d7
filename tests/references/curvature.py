"""Second-order rules, literally, on all weights as one vector.

A loop is `rule(w, f, t, state, z, **hyper)`: f is the loss of the step as torch function of w, z
the random numbers of the step, normal for the rules in `NORMAL` and else signs. What is of each
layer by itself knows how many entries they have. Nothing here imports normdsl.

arXiv:2006.00719, 2305.14342, 2109.05198, 2211.00140, 2506.13710, 1406.2572, 2301.13194, 2508.19712,
2509.25782; Dembo et al. 1982; Nesterov and Polyak 2006.
"""

import math

import torch

from references.full_matrix import updated
from references.tools import ema, eye

#: How many entries the layers have.
ENTRIES = (6, 4)


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


def exact_newton(w, f, t, state, z, *, lr=1.0):
    whole = torch.autograd.functional.hessian(f, w)
    steps, start = [], 0
    for g in layers(slope(f, w)):
        own = slice(start, start + len(g))
        steps.append(torch.linalg.solve(whole[own, own], g))
        start += len(g)
    return w - lr * torch.cat(steps)


def newton_cg(w, f, t, state, z, *, lr=1.0, damping=1e-3):
    return w - lr * conjugate_gradients(lambda v: product(f, w, v) + damping * v, slope(f, w))


def gauss_newton_cg(w, f, t, state, z, *, lr=1.0, damping=1e-3):
    """By the whole Jacobian of the outputs of f, and the Hessian of f by these."""
    sizes = [len(x) for x in f.outputs(w)]
    jacobian = torch.autograd.functional.jacobian(lambda x: torch.cat(f.outputs(x)), w)
    bend = torch.autograd.functional.hessian(
        lambda u: f.by_outputs(u.split(sizes)), torch.cat(f.outputs(w))
    )
    matrix = jacobian.T @ bend @ jacobian + damping * eye(len(w), w)
    return w - lr * conjugate_gradients(lambda v: matrix @ v, slope(f, w))


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


def layers(x):
    return x.split(ENTRIES)


def hessians(w, f, t, state, z, beta):
    """For each layer, Powell's symmetric update by z and H z, a part of the way."""
    found = []
    for k, (h, v) in enumerate(zip(layers(product(f, w, z)), layers(z), strict=True)):
        b, size = state.get(f"B{k}", 0 * torch.outer(v, v)), v @ v
        r = h - b @ v
        outer = torch.outer(r, v) / size
        change = outer + outer.T - (v @ r) / size**2 * torch.outer(v, v)
        state[f"B{k}"] = b + (1 - beta) * change
        found.append(state[f"B{k}"])
    return found


def saddle_free_newton(w, f, t, state, z, *, lr=0.1, beta=0.5, damping=0.1):
    steps = []
    for b, g in zip(hessians(w, f, t, state, z, beta), layers(slope(f, w)), strict=True):
        values, q = torch.linalg.eigh(b)
        steps.append(q @ (q.T @ g / (values.abs() + damping)))
    return w - lr * torch.cat(steps)


def cubic_newton(w, f, t, state, z, *, smoothness=10.0, beta=0.5):
    """σ by bisection: ‖(B + σ I)⁻¹ g‖ falls, and 2 σ/M rises."""
    steps = []
    for b, g in zip(hessians(w, f, t, state, z, beta), layers(slope(f, w)), strict=True):
        values, q = torch.linalg.eigh(b)
        a = q.T @ g
        low = max(0.0, -float(values[0]))
        high = low + float(g.norm()) + smoothness + 1
        for _ in range(200):
            middle = (low + high) / 2
            longer = float((a / (values + middle)).norm()) > 2 * middle / smoothness
            low, high = (middle, high) if longer else (low, middle)
        steps.append(q @ (a / (values + high)))
    return w - torch.cat(steps)


def polynomial_preconditioning(w, f, t, state, z, *, lr=0.1):
    g = slope(f, w)
    return w - lr * (g - product(f, w, g) / (z @ product(f, w, z)))


def quasi_newton(w, f, state, start):
    """The gradient, and BFGS's direction of each layer."""
    g, found = slope(f, w), []
    for k, (x, y) in enumerate(zip(layers(w), layers(g), strict=True)):
        h = state.get(f"H{k}", start * eye(len(x), w))
        if f"w{k}" in state:
            h = updated(h, x - state[f"w{k}"], y - state[f"g{k}"])
        state.update({f"H{k}": h, f"w{k}": x, f"g{k}": y})
        found.append(h @ y)
    return g, torch.cat(found)


def bfgs(w, f, t, state, z, *, lr=0.1, start=1.0):
    return w - lr * quasi_newton(w, f, state, start)[1]


def ceqn(w, f, t, state, z, *, inexactness=2.0, smoothness=1.0, start=1.0):
    g, d = quasi_newton(w, f, state, start)
    n = math.sqrt(g @ d)
    return w - 2 / (inexactness + math.sqrt(inexactness**2 + 4 * smoothness * n)) * d


def psgd_dense(w, f, t, state, z, *, lr=1e-2, fit=0.1, start=1.0):
    steps = []
    sides = zip(layers(product(f, w, z)), layers(z), layers(slope(f, w)), strict=True)
    for k, (h, v, g) in enumerate(sides):
        q = state.get(f"Q{k}", start * eye(len(v), w))
        a, b = q @ h, torch.linalg.solve(q.T, v)
        one, two = torch.outer(a, a), torch.outer(b, b)
        q = q - fit / torch.linalg.matrix_norm(one + two, 2) * torch.triu(one - two) @ q
        state[f"Q{k}"] = q
        steps.append(q.T @ (q @ g))
    return w - lr * torch.cat(steps)


RULES = [
    *(adahessian, sophia, oasis, exact_newton, newton_cg, gauss_newton_cg, aicn),
    *(
        gns_newton,
        polynomial_preconditioning,
        saddle_free_newton,
        cubic_newton,
        bfgs,
        ceqn,
        psgd_dense,
    ),
]
NORMAL = {"saddle_free_newton", "cubic_newton", "psgd_dense"}
CURVATURE = {rule.__name__: rule for rule in RULES}
