"""Adapters: steps of the product of two factors, as one matrix, and which adapters are kept.

W is the product B A itself, or its sum with weights that stay; the factors are eliminated, so that
a step depends on the product alone, and reads its whole gradient.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def bernoulli_lora(
    lr: nd.NonNegative = 0.1,
    share: nd.Fraction = 0.5,
    rank: nd.Rank = 8,
):
    """Bernoulli-LoRA: gradient descent in a random subspace of columns or of rows, by a coin.

    With probability `share` W ← W − lr Q Qᵀ G, else W ← W − lr G P Pᵀ, with fresh frames Q and P of
    normal numbers: H = B (BᵀB)⁺ Bᵀ is Q Qᵀ for B = Q R. The factor that is trained is eliminated,
    and the step is one of W. By Sokolov et al., 2025, arXiv:2508.03820, on one worker with the
    gradient itself; RAC-LoRA, 2410.08305, is that with one side always.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.bernoulli_lora.check("orthogonal").answer
        'invariant in law'
    """
    Q, P = nd.random_frame(nd.rows, rank), nd.random_frame(nd.cols, rank)
    left = nd.mask(share)
    return W - lr * (left * Q @ Q.T @ G + (1 - left) * G @ P @ P.T)


@nd.optimizer
def svd_lora(lr: nd.NonNegative = 0.1, rank: nd.Rank = 8):
    """SVDLoRA: gradient descent on matrices of a rank, by the nearest one of that rank.

    W ← SVD_r(W − lr G): the part of its r largest singular values, as P Pᵀ (W − lr G) with the left
    singular vectors P. What OPLoRA approximates (arXiv:2509.19977); where two singular values about
    the cut are equal, there are several nearest ones.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.svd_lora.check("orthogonal", witnesses=False).answer
        'invariant if target has distinct singular values'
    """
    target = W - lr * G
    P = nd.top_singular(target, rank)
    return P @ P.T @ target


@nd.optimizer
def oplora(lr: nd.NonNegative = 0.1, rank: nd.Rank = 8):
    """OPLoRA: gradient descent on products B A, the factors by one sweep of least squares.

    X = W − lr G;  B ← X Aᵀ (A Aᵀ)⁻¹, then A ← (BᵀB)⁻¹ Bᵀ X,  W ← B A (2025, arXiv:2509.19977). The
    product is Q Qᵀ X for an orthonormal basis Q of the range of X Aᵀ, so that A may be kept as
    Qᵀ X, from normal numbers. Both halves read one G, that of the product, which the gradients of
    the factors do not tell: as adapters, `alternating_scaled_gd` takes it anew in between. Left out
    are a second sweep, and a momentum of low rank.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.oplora.check("right_orthogonal", witnesses=False).answer
        'invariant in law'
    """
    X = W - lr * G
    A = nd.fix(lambda A: nd.qr(X @ A.T).T @ X, nd.normal(nd.cols, rank).T)
    Q = nd.qr(X @ nd.prev(A, init=nd.normal(nd.cols, rank).T).T)
    return Q @ Q.T @ X


@nd.optimizer
def weight_lora(lr: nd.NonNegative = 0.01, keep: nd.Count = 10, k: nd.Count = 5):
    """WeightLoRA's choice of adapters: of their weights ω, the largest are kept now and then.

    ω ← ω − lr G; at every k-th step all but the `keep` largest entries become 0 (hard thresholding,
    Veprikov et al., 2025, arXiv:2506.02724). ω is one vector of the model, an entry for each
    adapter in y = W₀ x + ω_l s B_l A_l x, from 1; factors step by AdamW. Largest means signed, as
    in the code, not largest in size; those equal to the least that is kept are kept too. Left out
    is that ω stays where its gradient vanishes; factors that are enlarged are another model.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.weight_lora.check("permutations", witnesses=False).answer
        'invariant'
    """
    new, count = W - lr * G, nd.rows * nd.cols
    share = nd.clamp((count - keep - 1 / 2) / (count - 1), 0, 1)  # between two entries in order
    return nd.every(k, nd.where(new >= nd.quantile(new, share), new, 0), new)
