"""Full matrices: statistics on all pairs of entries, mn×mn, for small layers."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def full_matrix_adagrad(lr: nd.NonNegative = 1e-2, eps: nd.NonNegative = 1e-6):
    """AdaGrad with its full matrix: the root of the sum of all outer products of gradients.

    S ← S + g gᵀ,  W ← W − lr (S^½ + ε I)⁻¹ g with g = vec(G): sharp of ‖S^¼ g‖ (Duchi et al.,
    2011, JMLR 12, where ε is called δ). Shampoo has S ≈ L^½ ⊗ R^½, AdaGrad its diagonal.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.full_matrix_adagrad.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    g = nd.vec(G)
    S = nd.accumulate(g @ g.T)
    root = nd.matrix_power(S, 1 / 2) + eps * nd.eye_like(S)
    return W - lr * nd.unvec(nd.inverse(root) @ g)


@nd.optimizer
def natural_gradient(
    lr: nd.NonNegative = 1e-2,
    beta: nd.Fraction = 0.95,
    damping: nd.NonNegative = 1e-3,
    start: nd.Positive = 1.0,
):
    """Natural gradient: the gradient over an average of its outer products, the empirical Fisher.

    F ← β F + (1 − β) g gᵀ from start · I,  W ← W − lr (F + λ I)⁻¹ g with g = vec(G), λ = damping
    (Amari, 1998). The Fisher matrix has gradients with sampled labels, one for each example; the
    empirical one those with given labels, here of a batch as a whole, which is another direction
    (Kunstner et al., 2019, arXiv:1905.12558).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.natural_gradient.check("affine", witnesses=False).answer
        'invariant if damping = 0, F starts transformed along with the weights and F has full rank'
    """
    g = nd.vec(G)
    F = nd.ema(g @ g.T, beta, init=start * nd.eye_like(g @ g.T))
    return W - lr * nd.unvec(nd.inverse(F + damping * nd.eye_like(F)) @ g)
