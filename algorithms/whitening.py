"""Preconditioners that are fitted by steps of their own, without averages of Gram matrices."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def psgd_kron(
    lr: nd.NonNegative = 1e-3,
    momentum: nd.Fraction = 0.9,
    fit: nd.Positive = 0.1,
    start: nd.Positive = 1.0,
    limit: nd.Positive = 2.0,
    idle: nd.Fraction = 0.0,
):
    """PSGD, Kronecker-factored: factors L and R stepped until the gradients L G R are white.

    U = L G R,  L ← L^½ (I − μ/(‖U‖₂² + n) (U Uᵀ − n I))² L^½ and R likewise, from start · I;
    W ← W − lr L m R, cut to root mean square c, with μ, c = fit, limit (Li, 2024, arXiv:2402.11858,
    in the geometry that its code calls Q^½ E Q^{3/2}). With probability idle, L and R stay as they
    are, by a coin of each layer; the code has one for all, and saves their step. Exact here are
    ‖U‖₂, bounded by random directions in the code, and the roots of L and R, kept symmetric by a
    Procrustes step there. The code also remembers larger ‖U‖₂ for a while, starts by the size of
    the first gradient, adds noise to G, makes the longer side diagonal, and balances both factors
    at times.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.psgd_kron.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    stay = nd.uniform() < idle

    def fitted(L, R):
        U, P, Q = L @ G @ R, nd.matrix_power(L, 1 / 2), nd.matrix_power(R, 1 / 2)
        size = nd.spectral.value(U) ** 2
        P -= fit / (size + nd.cols) * (U @ (U.T @ P) - nd.cols * P)
        Q -= fit / (size + nd.rows) * (U.T @ (U @ Q) - nd.rows * Q)
        return nd.where(stay, L, P.T @ P), nd.where(stay, R, Q.T @ Q)

    L, R = nd.fix(fitted, (start * nd.eye_like(G @ G.T), start * nd.eye_like(G.T @ G)))
    d = L @ nd.ema(G, nd.minimum(1 - 1 / t, momentum)) @ R
    return W - lr * nd.clip(d, limit * nd.sqrt(nd.rows * nd.cols))


@nd.optimizer
def psgd_triangular(
    lr: nd.NonNegative = 1e-3,
    momentum: nd.Fraction = 0.9,
    fit: nd.Positive = 0.1,
    start: nd.Positive = 1.0,
    limit: nd.Positive = 1.1,
):
    """PSGD with triangular factors Q and P, fitted until P Gᵀ Qᵀ is as a random probe is.

    A = Q G Pᵀ,  B = Q⁻ᵀ V P⁻¹ with normal V,  Q ← Q − μ triu(A Aᵀ − B Bᵀ) Q / ‖A Aᵀ + B Bᵀ‖₂, and
    P likewise with Aᵀ A and Bᵀ B, from start · I;  W ← W − lr QᵀQ m PᵀP, cut to root mean square c,
    with μ, c = fit, limit (Li, 2018, arXiv:1512.04202, 1809.10232). Exact here is ‖·‖₂, bounded
    from below in codes, which also balance both factors at times, make the longer side diagonal,
    and fit them at some of the steps, mostly to m.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.psgd_triangular.check("translation", witnesses=False).answer
        'invariant'
    """

    def stepped(Q, a, b):
        return Q - fit * nd.triu(a - b) @ Q * nd.reciprocal(nd.max(nd.eigenvalues(a + b)))

    def fitted(Q, P):
        A, B = Q @ G @ P.T, nd.inverse(Q).T @ nd.normal_like(G) @ nd.inverse(P)
        return stepped(Q, A @ A.T, B @ B.T), stepped(P, A.T @ A, B.T @ B)

    Q, P = nd.fix(fitted, (start * nd.eye_like(G @ G.T), start * nd.eye_like(G.T @ G)))
    u = Q.T @ Q @ nd.ema(G, momentum, debias=True) @ P.T @ P
    return W - lr * nd.clip(u, limit * nd.sqrt(nd.rows * nd.cols))


@nd.optimizer
def psgd_dense(lr: nd.NonNegative = 1e-2, fit: nd.Positive = 0.1, start: nd.Positive = 1.0):
    """PSGD with one triangular factor of all entries, fitted to the curvature by Hessian products.

    a = Q vec(H v),  b = Q⁻ᵀ vec(v) with normal v,  Q ← Q − μ triu(a aᵀ − b bᵀ) Q / ‖a aᵀ + b bᵀ‖₂
    from start · I, μ = fit;  W ← W − lr QᵀQ vec(G): QᵀQ comes near |H|⁻¹ (Li, 2015,
    arXiv:1512.04202; 1809.10232). Exact here is ‖·‖₂, bounded in codes, which also average G, cut
    the step, and fit Q at some of the steps. Q is mn×mn, for small layers.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.psgd_dense.check("translation", witnesses=False).answer
        'invariant'
    """
    v = nd.normal_like(W)

    def fitted(Q):
        a, b = Q @ nd.vec(nd.hessian_product(v)), nd.inverse(Q).T @ nd.vec(v)
        size = nd.max(nd.eigenvalues(a @ a.T + b @ b.T))
        return Q - fit * nd.triu(a @ a.T - b @ b.T) @ Q * nd.reciprocal(size)

    Q = nd.fix(fitted, start * nd.eye_like(nd.vec(v) @ nd.vec(v).T))
    return W - lr * nd.unvec(Q.T @ (Q @ nd.vec(G)))
