"""PSGD with Kronecker factors, literally: by roots (arXiv:2402.11858), triangles (1809.10232)."""

import torch

from references.draws import normal_matrix, uniform
from references.tools import ema, eye, root


def psgd_kron(
    w, g, t, state, *, loss=None, lr=1e-3, momentum=0.9, fit=0.1, start=1.0, limit=2.0, idle=0.0
):
    rows, cols = w.shape
    left, right = state.get("L", start * eye(rows, w)), state.get("R", start * eye(cols, w))
    white = left @ g @ right
    size = float(torch.linalg.matrix_norm(white, 2)) ** 2
    a = eye(rows, w) - fit / (size + cols) * (white @ white.T - cols * eye(rows, w))
    b = eye(cols, w) - fit / (size + rows) * (white.T @ white - rows * eye(cols, w))
    stays = uniform(t, key=32) < idle
    state["L"] = left if stays else root(left, 0.5) @ a @ a @ root(left, 0.5)
    state["R"] = right if stays else root(right, 0.5) @ b @ b @ root(right, 0.5)
    u = state["L"] @ ema(state, "m", g, min(1 - 1 / t, momentum)) @ state["R"]
    return w - lr * u * min(1.0, limit / float(u.square().mean().sqrt()))


def psgd_triangular(
    w, g, t, state, *, loss=None, lr=1e-3, momentum=0.9, fit=0.1, start=1.0, limit=1.1
):
    rows, cols = w.shape
    q, p = state.get("Q", start * eye(rows, w)), state.get("P", start * eye(cols, w))
    a = q @ g @ p.T
    v = normal_matrix(t, w.shape, key=6)
    b = torch.linalg.solve(q.T, torch.linalg.solve(p.T, v.T).T)
    for name, x, one, two in (("Q", q, a @ a.T, b @ b.T), ("P", p, a.T @ a, b.T @ b)):
        size = float(torch.linalg.matrix_norm(one + two, 2))
        state[name] = x - fit / size * torch.triu(one - two) @ x
    u = ema(state, "m", g, momentum) / (1 - momentum**t)
    u = state["Q"].T @ state["Q"] @ u @ state["P"].T @ state["P"]
    return w - lr * u * min(1.0, limit / float(u.square().mean().sqrt()))
