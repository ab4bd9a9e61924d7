"""Sign methods: the LMO of the largest-entry norm."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def sign_sgd(lr: nd.NonNegative = 1e-4):
    """SignSGD: steps of length lr in every entry, against the sign of the gradient.

    W ← W − lr sign(G), with sign(0) = 0 (Bernstein et al., 2018, arXiv:1802.04560).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sign_sgd.check("loss_transform").answer
        'invariant'
    """
    return W + lr * nd.max_entry.lmo(G)


@nd.optimizer
def signum(lr: nd.NonNegative = 1e-4, beta: nd.Fraction = 0.9, weight_decay: nd.NonNegative = 0.0):
    """Signum: SignSGD with the average gradient in place of the gradient.

    m ← β m + (1 − β) G,   W ← (1 − lr λ) W − lr sign(m) (Bernstein et al., 2018, arXiv:1802.04560).
    Decoupled decay; some codes couple it.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.signum.check("permutations").answer
        'invariant'
    """
    m = nd.ema(G, beta)
    return (1 - lr * weight_decay) * W + lr * nd.max_entry.lmo(m)


@nd.optimizer
def lion(
    lr: nd.NonNegative = 1e-4,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.99,
    weight_decay: nd.NonNegative = 0.0,
):
    """Lion: the sign of a momentum that is read with one rate and stored with another.

    c = β₁ m + (1 − β₁) G,   W ← (1 − lr λ) W − lr sign(c),   m ← β₂ m + (1 − β₂) G (Chen et al.,
    2023, arXiv:2302.06675).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.lion.check("loss_transform").answer
        'invariant if beta1 = 0'
    """
    c = nd.momentum(G, beta2, readout=beta1)
    return (1 - lr * weight_decay) * W + lr * nd.max_entry.lmo(c)
