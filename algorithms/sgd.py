"""Steepest descent in the Frobenius norm: SGD, heavy ball, normalized SGD."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def sgd(lr: nd.NonNegative = 1e-3, weight_decay: nd.NonNegative = 0.0):
    """Stochastic gradient descent: a step against the gradient.

    W ← W − lr (G + λ W), sharp of the Frobenius norm, with coupled (L2) weight decay as in
    torch.optim.SGD.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sgd.check("orthogonal").answer
        'invariant'
    """
    return W - lr * nd.frobenius.sharp(G + weight_decay * W)


@nd.optimizer
def sgd_momentum(
    lr: nd.NonNegative = 1e-3, momentum: nd.Fraction = 0.9, weight_decay: nd.NonNegative = 0.0
):
    """SGD with heavy-ball momentum: a step against a decaying sum of gradients.

    m ← μ m + G + λ W,   W ← W − lr m, as in torch.optim.SGD (Polyak, 1964). The average form is
    this one with lr (1 − μ).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sgd_momentum.check("orthogonal").answer
        'invariant'
    """
    m = nd.momentum(G + weight_decay * W, momentum, normalized=False)
    return W - lr * nd.frobenius.sharp(m)


@nd.optimizer
def normalized_sgd(lr: nd.NonNegative = 1e-3, beta: nd.Fraction = 0.9):
    """Normalized SGD with momentum: steps of length lr against the average gradient.

    m ← β m + (1 − β) G,   W ← W − lr m / ‖m‖_F, one norm per tensor (Cutkosky and Mehta, 2020,
    arXiv:2002.03305). Public codes add 1e-12 to the norm; here a zero m gives a zero step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.normalized_sgd.check("loss_scale").answer
        'invariant'
    """
    m = nd.ema(G, beta)
    return W + lr * nd.frobenius.lmo(m)
