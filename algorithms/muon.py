"""Muon: the LMO of the spectral norm."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def muon(
    lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, weight_decay: nd.NonNegative = 0.0
):
    """Muon: Nesterov momentum with all its singular values set to 1.

    u is the Nesterov form of m ← μ m + (1 − μ) G;  W ← (1 − lr λ) W − lr √max(1, m/n) polar(u).
    By Jordan et al., 2024. torch.optim.Muon documents the sum instead of the average, which the LMO
    cannot tell apart, and computes the polar factor by five Newton–Schulz steps in bfloat16:
    `schedule=` here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muon.check("orthogonal").answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    return (1 - lr * weight_decay) * W + lr * nd.scale.shape * nd.spectral.lmo(u)


@nd.optimizer
def scion(lr: nd.NonNegative = 2**-12, momentum: nd.Fraction = 0.9, radius: nd.NonNegative = 50.0):
    """Scion for hidden layers: Muon that keeps the weights in a ball of the RMS → RMS norm.

    u ← μ u + (1 − μ) G,   W ← (1 − lr) W + lr ρ lmo(u), lmo(u) = −√(rows/cols) polar(u): W stays in
    the ball of radius ρ once it is there (Frank-Wolfe; Pethick et al., 2025, arXiv:2502.07529). The
    code's `momentum` is 1 − μ. A tied head has ρ = 3000 and the norm `nd.scaled_max_entry`,
    embeddings `nd.one_to_rms`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.scion.check("orthogonal").answer
        'invariant'
    """
    u = nd.ema(G, momentum)
    return (1 - lr) * W + lr * radius * nd.rms_to_rms.lmo(u)


@nd.optimizer
def scion_unconstrained(
    lr: nd.NonNegative = 2**-12, momentum: nd.Fraction = 0.9, radius: nd.NonNegative = 50.0
):
    """Unconstrained Scion: `scion` without the shrinking of the weights.

    u ← μ u + (1 − μ) G,   W ← W − lr ρ √(rows/cols) polar(u) (Pethick et al., 2025,
    arXiv:2502.07529): Muon without Nesterov's form, and without the maximum in its factor
    √max(1, rows/cols).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.scion_unconstrained.check("translation").answer
        'invariant'
    """
    u = nd.ema(G, momentum)
    return W + lr * radius * nd.rms_to_rms.lmo(u)


@nd.optimizer
def affine_muon(
    lr: nd.NonNegative = 0.02,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.98,
    start: nd.Positive = 0.1,
):
    """Affine-invariant Muon: its polar factor between the preconditioners of KL-Shampoo.

    W ← W − lr L^{-½} polar(L^{-½} u R^{-½}) R^{-½}, the LMO of ‖L^½ X R^½‖₂, with L and R of
    KL-Shampoo (Lin et al., 2025, arXiv:2509.03378). What the theorems of Veprikov et al., 2025
    (arXiv:2510.10777) ask for and no published method has: a unitarily invariant base norm,
    statistics that move by congruence, and exponent ½. Affine invariant when L and R start
    transformed along with the weights.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.affine_muon.check("left_affine", witnesses=False).answer
        'invariant if L starts transformed along with the weights and L has full rank'
    """
    u = nd.ema(G, beta1)
    L, R = nd.coupled_grams(G, beta2, start)
    norm = nd.preconditioned(
        nd.spectral, left=nd.matrix_power(L, 1 / 2), right=nd.matrix_power(R, 1 / 2)
    )
    return W + lr * norm.lmo(u)
