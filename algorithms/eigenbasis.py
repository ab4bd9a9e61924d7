"""Adaptive methods in the eigenbases of gradient Gram matrices: a rotation, then entry by entry."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def soap(
    lr: nd.NonNegative = 3e-3,
    beta1: nd.Fraction = 0.95,
    beta2: nd.Fraction = 0.95,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
):
    """SOAP: Adam in the eigenbases Q and P of Shampoo's two preconditioners.

    v ← β₂ v + (1 − β₂) (Qᵀ G P)²,   W ← (1 − lr λ) W − lr Q (m̂ / (√v̂ + ε)) Pᵀ with m averaging
    Qᵀ G P: sharp of ‖v^¼ ∘ (Qᵀ X P)‖_F (Vyas et al., 2024, arXiv:2409.11321). The paper averages G
    and turns that, which is the same, as m turns along with Q and P. As in the code, the bases know
    the gradients before this one only, and the first step takes none (it is all they would know).
    The code refreshes the bases every ten steps by one QR step (`schedule=` here), permutes v as
    the columns where here it turns along with them (`nd.eigenbasis`), which is the same if they
    only change places, and decays after the step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.soap.check("left_orthogonal", witnesses=False).answer
        'invariant if L has distinct eigenvalues'
    """
    go = nd.minimum(t - 1, 1)
    L, R = (nd.prev(nd.ema(s, beta2)) + (1 - go) * s for s in (G @ G.T, G.T @ G))
    Q, P = nd.eigenbasis(L), nd.eigenbasis(R)
    g = go * (Q.T @ G @ P)
    m = nd.ema(g, beta1) * nd.reciprocal(1 - beta1 ** (t - 1))
    v = nd.ema(g * g, beta2) * nd.reciprocal(1 - beta2 ** (t - 1))
    norm = nd.preconditioned(nd.frobenius, rotate=(Q, P), hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return (1 - lr * go * weight_decay) * W - lr * norm.sharp(Q @ m @ P.T)


@nd.optimizer
def splus(
    lr: nd.NonNegative = 0.1,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    weight_decay: nd.NonNegative = 0.01,
    average: nd.Fraction = 0.999,
):
    """SPlus: the sign of the average gradient, taken in Shampoo's eigenbases Q and P.

    W ← (1 − c lr λ) W − c lr Q sign(Qᵀ u P) Pᵀ with c = 2/(m + n): the LMO of max |Qᵀ X P| (Frans
    et al., 2025, arXiv:2506.07254). As in the code, the bases know the gradients before this one
    only; the first step takes the sign of G itself. The code refreshes the bases every 100 steps
    (`schedule=` here), decays after the step, and averages weights before their decay.
    `opt.eval()` puts the average of the weights, of the rate `average`, in their place.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.splus.check("loss_scale", witnesses=False).answer
        'invariant if L and R have distinct eigenvalues'
    """
    u = nd.ema(G, beta1)
    L, R = (nd.prev(nd.ema(s, beta2)) for s in (G @ G.T, G.T @ G))
    Q, P = nd.eigenbasis(L), nd.eigenbasis(R)
    norm = nd.preconditioned(nd.max_entry, rotate=(Q, P))
    rate = lr * nd.scale.mean_length
    new = (1 - rate * weight_decay) * W + rate * norm.lmo(u)
    gain = (1 - average) / (1 - average**t)
    return nd.step(new, evaluate=nd.fix(lambda x: x + gain * (new - x), W))
