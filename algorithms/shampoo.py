"""Shampoo-like methods: a Frobenius norm with a left factor from gradient Gram matrices."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def one_sided_shampoo(
    lr: nd.NonNegative = 1e-2, beta: nd.Fraction = 0.9, eps: nd.NonNegative = 1e-12
):
    """One-sided Shampoo / ASGO (Xie et al., 2025, arXiv:2503.10537; An et al., arXiv:2503.20762).

    L ← L + G Gᵀ from ε I,   W ← W − lr L^{-½} m: sharp of ‖L^¼ X‖_F. The ASGO code averages L,
    takes the shorter side, and rescales the update; this is the form of the papers.
    """
    m = nd.ema(G, beta)
    gram = G @ G.T
    L = nd.accumulate(gram, eps * nd.eye_like(gram))
    norm = nd.preconditioned(nd.frobenius, left=nd.matrix_power(L, 1 / 4))
    return W - lr * norm.sharp(m)
