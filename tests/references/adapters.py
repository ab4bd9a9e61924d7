"""Adapters as one matrix, literally: arXiv:2508.03820, 2509.19977, 2506.02724."""

import torch

from references.draws import frame_entries, uniform
from references.low_rank import orthonormal, right_start, thin


def bernoulli_lora(w, g, t, state, *, loss=None, lr=0.1, share=0.5, rank=8):
    if uniform(t, key=32) < share:
        q = orthonormal(frame_entries(t, range(0, w.numel(), w.shape[1]), thin(rank, w), key=7))
        return w - lr * q @ q.T @ g
    p = orthonormal(frame_entries(t, range(w.shape[1]), thin(rank, w), key=11))
    return w - lr * g @ p @ p.T


def svd_lora(w, g, t, state, *, loss=None, lr=0.1, rank=8):
    u, s, v = torch.linalg.svd(w - lr * g, full_matrices=False)
    s[thin(rank, w) :] = 0
    return (u * s) @ v


def oplora(w, g, t, state, *, loss=None, lr=0.1, rank=8):
    """By the normal equations of both halves of a sweep."""
    a = state.get("A", right_start(w, rank).T)
    x = w - lr * g
    b = x @ a.T @ torch.linalg.inv(a @ a.T)
    state["A"] = torch.linalg.inv(b.T @ b) @ b.T @ x
    return b @ state["A"]


def weight_lora(w, g, t, state, *, loss=None, lr=0.01, keep=10, k=5):
    w = w - lr * g
    if t % k == 0 and keep < w.numel():
        least = w.flatten().sort(descending=True).values[keep - 1]
        w = torch.where(w >= least, w, 0)
    return w
