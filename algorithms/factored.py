"""Relatives of Adam with less to remember: one second moment for a row, a column, or both."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adafactor(
    lr: nd.NonNegative = 1e-2,
    power: nd.Positive = 0.8,
    limit: nd.Positive = 1.0,
    eps1: nd.NonNegative = 1e-30,
    eps2: nd.NonNegative = 1e-3,
    weight_decay: nd.NonNegative = 0.0,
):
    """Adafactor: steps by second moments that are products of a row's and a column's.

    r and c average the row and column sums of G² + ε₁ at the rate 1 − t^−p;  u = G √Σr / √(r cᵀ),
    cut to root mean square d;  W ← (1 − lr λ) W − max(ε₂, rms W) min(lr, 1/√t) u, with p, d =
    power, limit (Shazeer and Stern, 2018, arXiv:1804.04235, without momentum). torch.optim has ε₁
    as a floor of the moments; other codes leave out the size of W, or warm up.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adafactor.check("uniform_scale", witnesses=False).answer
        'invariant if eps1 = 0 and eps2 = 0'
    """
    squares, rate = G**2 + eps1, 1 - t**-power
    r, c = (nd.ema(nd.sum(squares, over=x), rate) for x in ("cols", "rows"))
    root = nd.sqrt(nd.rows * nd.cols)
    u = nd.clip(nd.sqrt(nd.sum(r)) * G * nd.reciprocal(nd.sqrt(r) * nd.sqrt(c)), limit * root)
    length = nd.maximum(eps2, nd.frobenius.value(W) / root) * nd.minimum(lr, 1 / nd.sqrt(t))
    return (1 - lr * weight_decay) * W - length * u


@nd.optimizer
def adam_mini(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 1e-2,
):
    """Adam-mini: AdamW with one second moment for each row, that is for each neuron.

    v_i ← β₂ v_i + (1 − β₂) mean_j G_ij²,   W ← (1 − lr λ) W − lr m̂ / (√v̂ + ε) (Zhang et al.,
    2024, arXiv:2406.16793). The paper has one for each head of queries and keys, which is this on
    `nd.views` of heads with `nd.block_mean`, and one for each token of embeddings.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam_mini.check("right_orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(nd.sum(G * G, over="cols") / nd.cols, beta2, debias=True)
    return (1 - lr * weight_decay) * W - lr * m * nd.reciprocal(nd.sqrt(v) + eps)


@nd.optimizer
def adam_subset_norm(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """Adam with Subset-Norm: entries of a row, or column, share one sum of squares.

    v averages Σ_j G_ij² where m ≥ n, else Σ_i G_ij², W ← W − lr √(1 − β₂^t)/(1 − β₁^t) m / (√v + ε)
    (Nguyen and Nguyen, 2024, arXiv:2411.07120). A sum, not a mean, so that steps are shorter and lr
    about ten times larger than Adam's. The code also takes equal chunks of the flattened matrix for
    subsets, as pytorch_optimizer does.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam_subset_norm.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    tall = nd.minimum(nd.maximum(nd.rows - nd.cols + 1, 0), 1)  # 1 for m ≥ n, else 0
    by_row, by_col = (nd.ema(nd.sum(G * G, over=x), beta2) for x in ("cols", "rows"))
    root = nd.sqrt(by_row) ** tall * nd.sqrt(by_col) ** (1 - tall)
    m, rate = nd.ema(G, beta1), lr * nd.sqrt(1 - beta2**t) / (1 - beta1**t)
    return W - rate * m * nd.reciprocal(root + eps)
