"""Steps of low rank: what is kept, or what is stepped, lies in a subspace of a chosen rank."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def dion(
    lr: nd.NonNegative = 0.01,
    mu: nd.Fraction = 0.95,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
    rank: nd.Rank = 64,
):
    """Dion: Muon with a polar factor of low rank, by one step of power iteration.

    B = M + G,  P = qr(B Q),  R = Bᵀ P,  M ← B − (1 − μ) P Rᵀ,  Q ← R with columns of length 1;
    W ← (1 − lr λ) W − lr √(m/n) P Qᵀ. What the step took is taken from M, the rest stays (error
    feedback). By Ahn et al., 2025, arXiv:2504.05295. The code works from the longer side (W of
    m < n is transposed), says the rank as a share of min(m, n), and keeps Q where B = 0.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dion.check("right_orthogonal", eps=0).answer
        'invariant in law'
    """

    def power(M, Q):
        P = nd.qr((M + G) @ Q)
        return P, (M + G).T @ P

    def step(M, Q):
        P, R = power(M, Q)
        lengths = nd.sqrt(nd.sum(R * R, over="rows"))
        return M + G - (1 - mu) * P @ R.T, R * nd.reciprocal(lengths + eps)

    M, Q = nd.fix(step, (nd.zeros_like(G), nd.normal(nd.cols, rank)))
    P, _ = power(nd.prev(M), nd.prev(Q, init=nd.normal(nd.cols, rank)))
    return (1 - lr * weight_decay) * W - lr * nd.sqrt(nd.rows / nd.cols) * P @ Q.T


@nd.optimizer
def power_sgd(
    lr: nd.NonNegative = 0.01,
    momentum: nd.Fraction = 0.9,
    weight_decay: nd.NonNegative = 0.0,
    rank: nd.Rank = 4,
):
    """PowerSGD on one worker: SGD with momentum on gradients of low rank, with error feedback.

    D = G + E,  P = qr(D Q),  Q ← Dᵀ P,  E ← D − P Qᵀ;  what is sent, P Qᵀ = G + E_old − E, is g;
    m ← μ m + g,  W ← (1 − lr λ) W − lr (g + m). By Vogels et al., 2019, arXiv:1905.13727, algorithm
    2, where P and Q are averaged over workers. There λ W is added to G.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.power_sgd.check("translation").answer
        'invariant if weight_decay = 0'
    """

    def step(E, Q):
        P = nd.qr((G + E) @ Q)
        new = (G + E).T @ P
        return G + E - P @ new.T, new

    E, Q = nd.fix(step, (nd.zeros_like(G), nd.normal(nd.cols, rank)))  # noqa: RUF059 (its name)
    g = G + nd.prev(E) - E
    m = nd.momentum(g, momentum, normalized=False)
    return (1 - lr * weight_decay) * W - lr * (g + m)


@nd.optimizer
def galore(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
    scale: nd.NonNegative = 0.25,
    rank: nd.Rank = 128,
):
    """GaLore: Adam in the leading singular directions of the gradient.

    P = the left singular vectors of the largest singular values of G,  R = Pᵀ G;  m and v are the
    averages of R and R², without bias;  W ← (1 − lr λ) W − lr s P m / (√v + ε). By Zhao et al.,
    2024, arXiv:2403.03507. P is kept for T = 200 steps there: `schedule=nd.Schedule(refresh=200)`.
    The code projects the shorter side, and leaves m and v as they are when P changes; here they
    turn along, so that they stay with their directions, as in LDAdam (arXiv:2410.16103).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.galore.check("left_orthogonal").answer
        'invariant if G has distinct singular values'
    """
    P = nd.top_singular(G, rank)
    R = P.T @ G
    m = nd.ema(R, beta1, debias=True)
    v = nd.ema(R * R, beta2, debias=True)
    return (1 - lr * weight_decay) * W - lr * scale * P @ (m * nd.reciprocal(nd.sqrt(v) + eps))


@nd.optimizer
def subspace_momentum(
    lr: nd.NonNegative = 0.01,
    beta: nd.Fraction = 0.9,
    weight_decay: nd.NonNegative = 0.0,
    rank: nd.Rank = 64,
):
    """Subspace momentum: momentum in the leading directions of the gradient, none beyond them.

    P = the left singular vectors of the largest singular values of G,  R = Pᵀ G,
    m ← β m + (1 − β) R,  W ← (1 − lr λ) W − lr (P m + G − P R). By Nguyen and Nguyen, 2024,
    arXiv:2411.07120. P is kept for some steps there: `schedule=nd.Schedule(refresh=200)`. The code
    sets m to zero when P changes; here it turns along, as it does with its option for overlaps.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.subspace_momentum.check("orthogonal").answer
        'invariant if G has distinct singular values'
    """
    P = nd.top_singular(G, rank)
    R = P.T @ G
    m = nd.ema(R, beta)
    return (1 - lr * weight_decay) * W - lr * (P @ m + G - P @ R)


@nd.optimizer
def online_subspace_descent(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    kappa: nd.NonNegative = 0.005,
    scale: nd.NonNegative = 0.25,
    rank: nd.Rank = 128,
):
    """Online subspace descent: Adam in a subspace that follows the gradients by descent of its own.

    R = Pᵀ G;  m and v are the averages of R and R², without bias;  W ← W − lr s P m / (√v + ε);
    then P ← P − κ ∇‖P Pᵀ g − g‖², g = G/‖G‖_F. By Liang et al., 2024, arXiv:2408.12857, with
    descent for P, where the code has AdamW at the rate 1/200 and starts from the singular vectors
    of the first gradient; the penalty ‖Pᵀ P − I‖² of the paper is in neither.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.online_subspace_descent.check("left_orthogonal").answer
        'invariant in law'
    """
    g = G * nd.reciprocal(nd.frobenius.value(G))

    def followed(P):
        S = g @ (g.T @ P)
        return P + 2 * kappa * (2 * S - S @ (P.T @ P) - P @ (P.T @ S))

    P = nd.prev(nd.fix(followed, nd.random_frame(nd.rows, rank)), 1, nd.random_frame(nd.rows, rank))
    m = nd.ema(P.T @ G, beta1, debias=True)
    v = nd.ema((P.T @ G) ** 2, beta2, debias=True)
    return W - lr * scale * P @ (m * nd.reciprocal(nd.sqrt(v) + eps))


@nd.optimizer
def dion2(
    lr: nd.NonNegative = 0.01,
    mu: nd.Fraction = 0.95,
    weight_decay: nd.NonNegative = 0.01,
    share: nd.Share = 0.25,
):
    """Dion2: Muon on those rows of the momentum that are largest, which then decay.

    M ← M + G,  E = the columns of I at the ⌈share · min(m, n)⌉ rows of M with the largest ℓ₁ norms,
    U = polar(Eᵀ M);  W ← (1 − lr λ) W − lr √(m/n) E U,  M ← M − (1 − μ) E Eᵀ M. By Ahn et al.,
    2025, in the code that came after arXiv:2504.05295, which takes slices along the shorter side,
    and computes U by polynomials in bfloat16: `schedule=` here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dion2.check("right_orthogonal").answer
        'not invariant'
    """

    def largest(M):
        return nd.selection(nd.sum(nd.abs(M + G), over="cols"), share)

    def step(M):
        return M + G - (1 - mu) * largest(M) @ (largest(M).T @ (M + G))

    M = nd.fix(step, nd.zeros_like(G))
    E = largest(nd.prev(M))
    U = nd.polar(E.T @ (nd.prev(M) + G))
    return (1 - lr * weight_decay) * W - lr * nd.sqrt(nd.rows / nd.cols) * E @ U


@nd.optimizer
def trion(
    lr: nd.NonNegative = 0.01,
    mu: nd.Fraction = 0.95,
    weight_decay: nd.NonNegative = 0.01,
    rank: nd.Rank = 128,
):
    """Trion: Muon in the cosines that the momentum has most of.

    M ← M + G,  S = M C with the cosines C of `nd.dct_basis`,  Q = the columns of C at the columns
    of S with the largest ℓ₁ norms,  P = M Q;  M ← M − (1 − μ) P Qᵀ,
    W ← (1 − lr λ) W − lr √(m/n) polar(P) Qᵀ. By Modoranu et al., 2025, arXiv:2505.17967. The code
    takes cosines of the shorter side, here of the columns, and computes polar(P) by five
    Newton–Schulz steps in bfloat16; the factor of the shape is a choice of four.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.trion.check("left_orthogonal").answer
        'not invariant'
    """

    def cosines(B):
        C = nd.dct_basis(nd.cols)
        return C @ nd.selection(nd.sum(nd.abs(B @ C), over="rows").T, rank)

    def step(M):
        return M + G - (1 - mu) * (M + G) @ cosines(M + G) @ cosines(M + G).T

    M = nd.fix(step, nd.zeros_like(G))
    B = nd.prev(M) + G
    Q = cosines(B)
    return (1 - lr * weight_decay) * W - lr * nd.sqrt(nd.rows / nd.cols) * nd.polar(B @ Q) @ Q.T


@nd.optimizer
def dct_adamw(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
    rank: nd.Rank = 128,
):
    """DCT-AdamW: AdamW in the cosines that the gradient has most of.

    E = the columns of I at the columns of G C with the largest ℓ₁ norms, C the cosines of
    `nd.dct_basis`,  Q = C E,  T = E_oldᵀ E;  m ← β₁ m T + (1 − β₁) G Q,
    v ← β₂ v T + (1 − β₂) (G Q)²,  W ← (1 − lr λ) W − lr m / (√v + ε) Qᵀ with m and v without bias.
    By Modoranu et al., 2025, arXiv:2505.17967; without the error feedback that the code offers, and
    of the columns, where it takes the shorter side.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dct_adamw.check("translation").answer
        'invariant if weight_decay = 0'
    """
    C = nd.dct_basis(nd.cols)
    E = nd.selection(nd.sum(nd.abs(G @ C), over="rows").T, rank)
    R, T = G @ C @ E, nd.prev(E).T @ E
    m = nd.fix(lambda m: beta1 * m @ T + (1 - beta1) * R, nd.zeros_like(R))
    v = nd.fix(lambda v: beta2 * v @ T + (1 - beta2) * R * R, nd.zeros_like(R))
    root = nd.sqrt(v / (1 - beta2**nd.t))
    N = m / (1 - beta1**nd.t) * nd.reciprocal(root + eps)
    return (1 - lr * weight_decay) * W - lr * N @ (C @ E).T


@nd.optimizer
def drop_muon(
    lr: nd.NonNegative = 0.02,
    beta: nd.Fraction = 0.9,
    share: nd.Fraction = 0.5,
):
    """Drop-Muon: at each step some layers step, by chance, and others stay as they are.

    a = 1 with probability `share`, else 0, for each layer;  m ← m + a (1 − β) (G − m),
    W ← W − lr a ‖m‖_* polar(m): the sharp operator of the spectral norm. By Gruntkowska et al.,
    2025, arXiv:2510.02239, where the layers that step may depend on one another, as those of
    `drop_muon_suffix` do, and gradients of the others are not computed.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.drop_muon.check("orthogonal").answer
        'invariant'
    """
    a = nd.mask(share)
    m = nd.fix(lambda m: m + a * (1 - beta) * (G - m), nd.zeros_like(G))
    return W - lr * a * nd.spectral.sharp(m)


@nd.optimizer
def drop_muon_suffix(
    lr: nd.NonNegative = 0.02,
    beta: nd.Fraction = 0.9,
    depth: nd.Share = 1.0,
):
    """Drop-Muon from a random layer on: all layers behind one that is drawn step, others stay.

    a = 1 where u ≤ d, else 0, with one u for all layers, uniform between 0 and 1, and d = depth;
    m ← m + a (1 − β) (G − m),  W ← W − lr a ‖m‖_* polar(m) (Gruntkowska et al., 2025,
    arXiv:2510.02239). With d = 1/b, 2/b, …, 1 for the b layers in their order, each in a parameter
    group of its own, the first of those that step is uniform. Backward may end there.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.drop_muon_suffix.check("orthogonal").answer
        'invariant'
    """
    a = nd.where(nd.uniform(over="layers") <= depth, 1, 0)
    m = nd.fix(lambda m: m + a * (1 - beta) * (G - m), nd.zeros_like(G))
    return W - lr * a * nd.spectral.sharp(m)
