"""Pairs: the factors of low-rank adapters, W = W₀ + s B A with A of r×n and B of m×r.

B A is that of (M A, B M⁻¹) for every invertible M, the gauge. A step that moves along with it is a
step of the product, however its factors are balanced. `nd.route` finds the pairs in a model.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import t


@nd.optimizer
def scaled_gd(
    A: nd.Matrix("r", "n"),
    B: nd.Matrix("m", "r"),
    lr: nd.NonNegative = 0.1,
    damping: nd.NonNegative = 1e-6,
):
    """ScaledGD(λ), preconditioned LoRA: each factor steps in the metric of the other one.

    A ← A − lr (BᵀB + δ I)⁻¹ G_A,  B ← B − lr G_B (A Aᵀ + δ I)⁻¹,  both from the same point. By Xu,
    Shen, Chi and Ma, 2023, arXiv:2302.01186, and for adapters by Zhang and Pilanci, 2024,
    arXiv:2402.02347. At δ = 0 the step of the product depends on the product alone; then B must
    not be zero, where adapters begin.

    Example:
        >>> import normdsl as nd
        >>> print(nd.algorithms.scaled_gd.check("gauge").answer)
        invariant if damping = 0 and S and T have full rank (only for r ≤ m, r ≤ n)
    """
    S, T = B.W.T @ B.W, A.W @ A.W.T
    down = nd.inverse(S + damping * nd.eye_like(S)) @ A.G
    up = B.G @ nd.inverse(T + damping * nd.eye_like(T))
    return A.W - lr * down, B.W - lr * up


@nd.optimizer
def alternating_scaled_gd(
    A: nd.Matrix("r", "n"),
    B: nd.Matrix("m", "r"),
    lr: nd.NonNegative = 0.1,
    damping: nd.NonNegative = 1e-6,
):
    """Alternating ScaledGD: B steps at odd steps and A at even ones, each by least squares.

    B ← B − lr G_B (A Aᵀ + δ I)⁻¹ at t = 1, 3, …,  A ← A − lr (BᵀB + δ I)⁻¹ G_A at t = 2, 4, …  At
    δ = 0 that is the B that is nearest to (B A − lr G) with A as it is, and likewise the A: the
    sweep of OPLoRA, 2025, arXiv:2509.19977, with the gradient taken anew before its second half.
    There both halves share one gradient G of the product, as an operator, which two gradients of
    factors do not tell.

    Example:
        >>> import normdsl as nd
        >>> print(nd.algorithms.alternating_scaled_gd.check("gauge", damping=0).answer)
        invariant if S and T have full rank (only for r ≤ m, r ≤ n)
    """
    S, T = B.W.T @ B.W, A.W @ A.W.T
    down = nd.inverse(S + damping * nd.eye_like(S)) @ A.G
    up = B.G @ nd.inverse(T + damping * nd.eye_like(T))
    even = nd.every(2, 1, 0)
    return A.W - lr * even * down, B.W - lr * (1 - even) * up


@nd.optimizer
def scaled_adamw(
    A: nd.Matrix("r", "n"),
    B: nd.Matrix("m", "r"),
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
    damping: nd.NonNegative = 1e-6,
):
    """Scaled AdamW: AdamW on the gradients of ScaledGD, whose gauge its second moments undo.

    g_A = (BᵀB + δ I)⁻¹ G_A,  g_B = G_B (A Aᵀ + δ I)⁻¹,  then AdamW on each, decay decoupled. By
    Zhang and Pilanci, 2024, arXiv:2402.02347. Entrywise second moments keep the gauge of
    permutations with signs alone.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.scaled_adamw.check("permutation_gauge").answer
        'invariant'
    """
    S, T = B.W.T @ B.W, A.W @ A.W.T

    def adam(g):
        m, v = nd.ema(g, beta1, debias=True), nd.ema(g * g, beta2, debias=True)
        return m / (nd.sqrt(v) + eps)

    down = adam(nd.inverse(S + damping * nd.eye_like(S)) @ A.G)
    up = adam(B.G @ nd.inverse(T + damping * nd.eye_like(T)))
    keep = 1 - lr * weight_decay
    return keep * A.W - lr * down, keep * B.W - lr * up


@nd.optimizer
def lora_muon(
    A: nd.Matrix("r", "n"),
    B: nd.Matrix("m", "r"),
    lr: nd.NonNegative = 0.02,
    beta: nd.Fraction = 0.95,
):
    """LoRA-Muon: each factor steps by an LMO of the norm of what its change does to the product.

    ‖ΔB A‖ ≤ ½ and ‖B ΔA‖ ≤ ½ in the spectral norm; ‖ΔB A‖ = ‖ΔB S^½‖ with S = A Aᵀ, so that
    ΔB = −lr/2 polar(m_B S^−½) S^−½,  ΔA = −lr/2 R^−½ polar(R^−½ m_A) with R = BᵀB. The momenta are
    averages of gradients, which move with the gauge as gradients do. Muon's step (Jordan et al.,
    2024) for pairs, as it stands beside LoRA-RITE (arXiv:2410.20625); no code was found.

    Example:
        >>> import normdsl as nd
        >>> print(nd.algorithms.lora_muon.check("gauge").answer)
        invariant if R and S have full rank (only for r ≤ m, r ≤ n)
    """
    R, S = B.W.T @ B.W, A.W @ A.W.T
    of_A = nd.preconditioned(nd.spectral, left=nd.matrix_power(R, 0.5))
    of_B = nd.preconditioned(nd.spectral, right=nd.matrix_power(S, 0.5))
    down, up = of_A.lmo(nd.ema(A.G, beta)), of_B.lmo(nd.ema(B.G, beta))
    return A.W + lr / 2 * down, B.W + lr / 2 * up


@nd.optimizer
def lora_rite(
    A: nd.Matrix("r", "n"),
    B: nd.Matrix("m", "r"),
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
):
    """LoRA-RITE: matrix Adam in orthonormal coordinates of the other factor, moments turned along.

    For B, with U = Aᵀ S^−½ and S = A Aᵀ: the unmagnified gradient is g = G_B S^−½ = G U, of moments
    V ← β₂ P V Pᵀ + (1 − β₂) gᵀg / m and M ← β₁ M Pᵀ + (1 − β₁) g V^−½, where P = Uᵀ U_old turns
    into the coordinates of now; B ← B − lr M S^−½, both moments divided by 1 − βᵗ. Likewise for A.
    By Yen et al., 2024, arXiv:2410.20625, algorithm 1, whose U is from a QR decomposition: other
    coordinates, the same step. Left out are the escaped mass that is added to V and the clip at
    RMS 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.algorithms.lora_rite.check("gauge").answer)
        invariant if A Aᵀ and Bᵀ B have full rank (only for r ≤ m, r ≤ n)
    """

    def step(X, g, length):  # of a factor with gradient g, length×r, whose partner is X, r×k
        root = nd.matrix_power(X @ X.T, -0.5)
        U, h = X.T @ root, g @ root
        P, zero = U.T @ nd.prev(U), nd.zeros_like(root)
        V = nd.fix(lambda V: beta2 * P @ V @ P.T + (1 - beta2) / length * h.T @ h, zero)
        unit = h @ nd.matrix_power(V / (1 - beta2**t), -0.5)
        M = nd.fix(lambda M: beta1 * M @ P.T + (1 - beta1) * unit, nd.zeros_like(g))
        return M / (1 - beta1**t) @ root

    down = step(B.W.T, A.G.T, A.cols).T
    return A.W - lr * down, B.W - lr * step(A.W, B.G, B.rows)
