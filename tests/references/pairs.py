"""Pairs of factors: ScaledGD (arXiv:2302.01186, 2402.02347), LoRA-Muon, LoRA-RITE (2410.20625).

A loop is `rule(a, ga, b, gb, t, state, **hyper)` and returns both new factors.
"""

import torch


def power(s, p):
    values, vectors = torch.linalg.eigh(s)
    return vectors @ torch.diag(values**p) @ vectors.T


def scaled(a, ga, b, gb, damping):
    eye = torch.eye(a.shape[0], dtype=a.dtype)
    down = torch.linalg.solve(b.T @ b + damping * eye, ga)
    return down, torch.linalg.solve(a @ a.T + damping * eye, gb.T).T


def scaled_gd(a, ga, b, gb, t, state, *, lr=0.1, damping=1e-6):
    down, up = scaled(a, ga, b, gb, damping)
    return a - lr * down, b - lr * up


def alternating_scaled_gd(a, ga, b, gb, t, state, *, lr=0.1, damping=1e-6):
    down, up = scaled(a, ga, b, gb, damping)
    return (a, b - lr * up) if t % 2 else (a - lr * down, b)


def scaled_adamw(
    a, ga, b, gb, t, state, *, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01,
    damping=1e-6,
):  # fmt: skip
    found = []
    for key, w, g in zip("ab", (a, b), scaled(a, ga, b, gb, damping), strict=True):
        m = beta1 * state.get(f"m{key}", 0 * g) + (1 - beta1) * g
        v = beta2 * state.get(f"v{key}", 0 * g) + (1 - beta2) * g * g
        state.update({f"m{key}": m, f"v{key}": v})
        step = (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
        found.append(w - lr * weight_decay * w - lr * step)
    return tuple(found)


def msign(x):
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    return u @ v


def lora_muon(a, ga, b, gb, t, state, *, lr=0.02, beta=0.95):
    ma = state["ma"] = beta * state.get("ma", 0 * ga) + (1 - beta) * ga
    mb = state["mb"] = beta * state.get("mb", 0 * gb) + (1 - beta) * gb
    r, s = power(b.T @ b, -0.5), power(a @ a.T, -0.5)
    return a - lr / 2 * r @ msign(r @ ma), b - lr / 2 * msign(mb @ s) @ s


def lora_rite(a, ga, b, gb, t, state, *, lr=1e-3, beta1=0.9, beta2=0.999):
    def step(key, x, g):
        """One factor whose partner is x, k×r, with g of length×r; U by QR, as the paper has it."""
        u, r = torch.linalg.qr(x)
        signs = torch.where(r.diagonal() < 0, -1.0, 1.0).to(x.dtype)
        u, r = u * signs, signs[:, None] * r
        h = g @ torch.linalg.inv(r)
        turn = u.T @ state.get(f"u{key}", 0 * u)
        v = beta2 * turn @ state.get(f"v{key}", 0 * r) @ turn.T
        v = state[f"v{key}"] = v + (1 - beta2) * h.T @ h / len(g)
        m = beta1 * state.get(f"m{key}", 0 * g) @ turn.T
        m = m + (1 - beta1) * h @ power(v / (1 - beta2**t), -0.5)
        state.update({f"m{key}": m, f"u{key}": u})
        return m / (1 - beta1**t) @ torch.linalg.inv(r).T

    down, up = step("a", b, ga.T).T, step("b", a.T, gb)
    return a - lr * down, b - lr * up


RULES = (scaled_gd, alternating_scaled_gd, scaled_adamw, lora_muon, lora_rite)
PAIRS = {f.__name__: f for f in RULES}
#: Hyper-parameters of the comparisons: every one is set, none to its default.
SETTINGS = {
    "scaled_gd": {"lr": 0.03, "damping": 0.2},
    "alternating_scaled_gd": {"lr": 0.03, "damping": 0.2},
    "scaled_adamw": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1,
                     "damping": 0.2},
    "lora_muon": {"lr": 0.03, "beta": 0.8},
    "lora_rite": {"lr": 0.01, "beta1": 0.8, "beta2": 0.95},
}  # fmt: skip
