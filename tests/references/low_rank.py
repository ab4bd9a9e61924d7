"""Low rank: Dion (arXiv:2504.05295), PowerSGD (1905.13727), GaLore (2403.03507), and others."""

import math

import numpy as np
import torch

from references.draws import normal, uniform
from references.tools import divide, ema, nuclear, polar


def thin(rank, w):
    """How many columns there are."""
    return min(rank, *w.shape)


def orthonormal(x):
    """Gram–Schmidt, as QR does it: R has a diagonal ≥ 0."""
    q, r = np.linalg.qr(x.numpy())
    return torch.as_tensor(q * np.where(np.diag(r) < 0, -1, 1))


def leading(g, rank):
    """Left singular vectors of the largest singular values."""
    return torch.as_tensor(np.linalg.svd(g.numpy(), full_matrices=False)[0][:, :rank].copy())


def right_start(w, rank):
    return normal(range(w.shape[1]), thin(rank, w), key=11)


def left_start(w, rank):
    return orthonormal(normal(range(0, w.numel(), w.shape[1]), thin(rank, w), key=7))


def dion(w, g, t, state, *, loss=None, lr=0.01, mu=0.95, eps=1e-8, weight_decay=0.01, rank=64):
    if t == 1:
        state.update(M=torch.zeros_like(w), Q=right_start(w, rank))
    b = state["M"] + g
    p = orthonormal(b @ state["Q"])
    r = b.T @ p
    state["M"] = b - (1 - mu) * p @ r.T
    state["Q"] = divide(r, r.norm(dim=0, keepdim=True) + eps)
    m, n = w.shape
    return w - lr * weight_decay * w - lr * (m / n) ** 0.5 * p @ state["Q"].T


def power_sgd(w, g, t, state, *, loss=None, lr=0.01, momentum=0.9, weight_decay=0.0, rank=4):
    if t == 1:
        state.update(E=torch.zeros_like(w), Q=right_start(w, rank), m=torch.zeros_like(w))
    delta = g + state["E"]
    p = orthonormal(delta @ state["Q"])
    state["Q"] = delta.T @ p
    sent = p @ state["Q"].T
    state["E"] = delta - sent
    state["m"] = momentum * state["m"] + sent
    return w - lr * weight_decay * w - lr * (sent + state["m"])


def turned(state, p, *names):
    """Mixes what is kept in old directions into new ones: m by cosines, v by their squares."""
    if "P" in state:
        cosines = p.T @ state["P"]
        for name in names:
            state[name] = (cosines**2 if name == "v" else cosines) @ state[name]
    state["P"] = p


def galore(
    w, g, t, state, *,
    loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, scale=0.25, rank=128,
):  # fmt: skip
    p = leading(g, thin(rank, w))
    turned(state, p, "m", "v")
    m = ema(state, "m", p.T @ g, beta1) / (1 - beta1**t)
    v = ema(state, "v", (p.T @ g) ** 2, beta2) / (1 - beta2**t)
    return w - lr * weight_decay * w - lr * scale * p @ divide(m, v.sqrt() + eps)


def subspace_momentum(w, g, t, state, *, loss=None, lr=0.01, beta=0.9, weight_decay=0.0, rank=64):
    p = leading(g, thin(rank, w))
    turned(state, p, "m")
    m = ema(state, "m", p.T @ g, beta)
    rest = g - p @ (p.T @ g)
    return w - lr * weight_decay * w - lr * (p @ m + rest)


def online_subspace_descent(
    w, g, t, state, *,
    loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, kappa=0.005, scale=0.25, rank=128,
):  # fmt: skip
    p = state["P"] if t > 1 else left_start(w, rank)
    m = ema(state, "m", p.T @ g, beta1) / (1 - beta1**t)
    v = ema(state, "v", (p.T @ g) ** 2, beta2) / (1 - beta2**t)
    free = p.clone().requires_grad_()
    unit = divide(g, g.norm())
    (slope,) = torch.autograd.grad(((free @ free.T @ unit - unit) ** 2).sum(), free)
    state["P"] = p - kappa * slope
    return w - lr * scale * p @ divide(m, v.sqrt() + eps)


def largest(scores, rank):
    """Places of the largest scores, the largest first."""
    return sorted(range(len(scores)), key=lambda i: -float(scores[i]))[:rank]


def dion2(w, g, t, state, *, loss=None, lr=0.01, mu=0.95, weight_decay=0.01, share=0.25):
    m = state.get("M", torch.zeros_like(w)) + g
    rows = largest(m.abs().sum(1), math.ceil(share * min(w.shape)))
    new = w - lr * weight_decay * w
    new[rows] -= lr * (w.shape[0] / w.shape[1]) ** 0.5 * polar(m[rows])
    m[rows] *= mu
    state["M"] = m
    return new


def cosines(n):
    """DCT-II, a column for each frequency."""
    waves = [[math.cos(math.pi * (2 * j + 1) * k / (2 * n)) for k in range(n)] for j in range(n)]
    c = math.sqrt(2 / n) * torch.tensor(waves, dtype=torch.float64)
    c[:, 0] /= math.sqrt(2)
    return c


def trion(w, g, t, state, *, loss=None, lr=0.01, mu=0.95, weight_decay=0.01, rank=128):
    m = state.get("M", torch.zeros_like(w)) + g
    c = cosines(w.shape[1])
    q = c[:, largest((m @ c).abs().sum(0), thin(rank, w))]
    low = m @ q
    state["M"] = m - (1 - mu) * low @ q.T
    scale = (w.shape[0] / w.shape[1]) ** 0.5
    return w - lr * weight_decay * w - lr * scale * polar(low) @ q.T


def dct_adamw(
    w, g, t, state, *,
    loss=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, rank=128,
):  # fmt: skip
    """m and v are kept by frequency: those of frequencies that are not chosen now are forgotten."""
    c = cosines(w.shape[1])
    chosen = largest((g @ c).abs().sum(0), thin(rank, w))
    low = g @ c[:, chosen]
    for name, x, beta in (("m", low, beta1), ("v", low**2, beta2)):
        old = state.get(name, {})
        state[name] = {k: beta * old.get(k, 0) + (1 - beta) * x[:, i] for i, k in enumerate(chosen)}
    m, v = (torch.stack([state[name][k] for k in chosen], 1) for name in ("m", "v"))
    step = divide(m / (1 - beta1**t), (v / (1 - beta2**t)).sqrt() + eps)
    return w - lr * weight_decay * w - lr * step @ c[:, chosen].T


def drop_muon(w, g, t, state, *, loss=None, lr=0.02, beta=0.9, share=0.5):
    if uniform(t, key=32) >= share:
        return w
    m = ema(state, "m", g, beta)
    return w - lr * nuclear(m) * polar(m)


def drop_muon_suffix(w, g, t, state, *, loss=None, lr=0.02, beta=0.9, depth=1.0):
    if uniform(t, key=32) > depth:  # of one layer, whose number is that of the model
        return w
    m = ema(state, "m", g, beta)
    return w - lr * nuclear(m) * polar(m)
