"""Shampoo-like methods: a Frobenius norm with a left factor from gradient Gram matrices."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def one_sided_shampoo(
    lr: nd.NonNegative = 1e-2, beta: nd.Fraction = 0.9, eps: nd.NonNegative = 1e-12
):
    """One-sided Shampoo, or ASGO: Shampoo with the left preconditioner alone.

    L ← L + G Gᵀ from ε I,   W ← W − lr L^{-½} m: sharp of ‖L^¼ X‖_F (Xie et al., 2025,
    arXiv:2503.10537; An et al., 2025, arXiv:2503.20762). The ASGO code averages L, takes the
    shorter side, and rescales the update; this is the form of the papers.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.one_sided_shampoo.check("orthogonal").answer
        'invariant'
    """
    m = nd.ema(G, beta)
    gram = G @ G.T
    L = nd.accumulate(gram, eps * nd.eye_like(gram))
    norm = nd.preconditioned(nd.frobenius, left=nd.matrix_power(L, 1 / 4))
    return W - lr * norm.sharp(m)


@nd.optimizer
def shampoo(lr: nd.NonNegative = 1e-2, eps: nd.NonNegative = 1e-12):
    """Shampoo: the gradient multiplied from both sides by inverse roots of sums of its squares.

    L ← L + G Gᵀ,  R ← R + Gᵀ G from ε I,   W ← W − lr L^{-¼} G R^{-¼}: sharp of ‖L^⅛ X R^⅛‖_F
    (Gupta et al., 2018, arXiv:1802.09568). Several libraries use the exponent -½ a side; the
    distributed code (arXiv:2309.06497) averages, grafts and splits blocks.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.shampoo.check("loss_scale").answer
        'invariant if eps = 0'
    """
    L, R = (nd.accumulate(gram, eps * nd.eye_like(gram)) for gram in (G @ G.T, G.T @ G))
    norm = nd.preconditioned(
        nd.frobenius, left=nd.matrix_power(L, 1 / 8), right=nd.matrix_power(R, 1 / 8)
    )
    return W - lr * norm.sharp(G)


@nd.optimizer
def kl_shampoo(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.98,
    start: nd.Positive = 0.1,
    weight_decay: nd.NonNegative = 0.01,
):
    """KL-Shampoo: Shampoo whose two preconditioners use each other.

    W ← (1 − lr λ) W − lr L^{-½} u R^{-½}, with L ← β₂ L + (1 − β₂)/n · G R⁻¹ Gᵀ and R likewise:
    sharp of ‖L^¼ X R^¼‖_F (Lin et al., 2025, arXiv:2509.03378). The code skips the first step,
    tracks eigenvalues apart from eigenvectors, clamps, and decays after the step. A public
    restatement of Table 1 of arXiv:2510.10777 has exponents ⅛ in the norm.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.kl_shampoo.check("loss_scale", witnesses=False).answer
        'invariant if L and R start multiplied by c'
    """
    u = nd.ema(G, beta1)
    L, R = nd.coupled_grams(G, beta2, start)
    norm = nd.preconditioned(
        nd.frobenius, left=nd.matrix_power(L, 1 / 4), right=nd.matrix_power(R, 1 / 4)
    )
    return (1 - lr * weight_decay) * W - lr * norm.sharp(u)
