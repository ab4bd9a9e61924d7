"""SGD slowed down by the loss and the size of gradients: energies, and metrics of the graph.

Those that read the loss: call `opt.step(loss=…)`, or pass a closure.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def aegd(lr: nd.NonNegative = 0.1, c: nd.LossValue = 1.0):
    """AEGD: SGD on the root of the loss, with an energy for each entry that only decays.

    F = √(f + c),  v = G/(2 F),  r ← r / (1 + 2 lr v²) from the first F,   W ← W − 2 lr r ∘ v (Liu
    and Tian, 2020, arXiv:2010.05109). c keeps the loss positive. r is here the first F times a
    ratio that starts at 1, as no state can start from a loss.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.aegd.check("permutations", witnesses=False).answer
        'invariant'
    """
    F = nd.sqrt(nd.maximum(nd.loss + c, 0))
    first = nd.accumulate(nd.maximum(2 - t, 0) * F)
    v = G * nd.reciprocal(2 * F)
    ratio = nd.fix(lambda r: r / (1 + 2 * lr * v**2), nd.zeros_like(G) + 1)
    return W - 2 * lr * first * ratio * v


@nd.optimizer
def aegdm(lr: nd.NonNegative = 0.01, momentum: nd.Fraction = 0.9, c: nd.LossValue = 1.0):
    """AEGDM: AEGD with momentum in its step, and not in its energy.

    F = √(f + c),  v = G/(2 F),  m ← μ m + v,  r ← r / (1 + 2 lr v²) from the first F, W ← W − 2 lr
    r ∘ m (Liu and Tian, 2022, arXiv:2203.12191).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.aegdm.check("transpose", witnesses=False).answer
        'invariant'
    """
    F = nd.sqrt(nd.maximum(nd.loss + c, 0))
    first = nd.accumulate(nd.maximum(2 - t, 0) * F)
    v = G * nd.reciprocal(2 * F)
    ratio = nd.fix(lambda r: r / (1 + 2 * lr * v**2), nd.zeros_like(G) + 1)
    m = nd.momentum(v, momentum, normalized=False)
    return W - 2 * lr * first * ratio * m


@nd.optimizer
def induced_metric(
    lr: nd.NonNegative = 0.1,
    momentum: nd.Fraction = 0.9,
    beta: nd.Fraction = 0.8,
    xi: nd.NonNegative = 0.1,
    weight_decay: nd.NonNegative = 0.0,
):
    """SGD with momentum in the metric that the graph of the loss induces: a smooth clipping.

    e averages ξ ‖G‖², of all layers,   W ← (1 − lr λ) W − lr m̂ / (1 + ê): the inverse of I + ξ G
    Gᵀ, on average (2025, arXiv:2509.03594).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.induced_metric.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    e = nd.ema(xi * nd.sum(nd.inner(G, G), over="layers"), beta, debias=True)
    m = nd.ema(G, momentum, debias=True)
    return (1 - lr * weight_decay) * W - lr / (1 + e) * m


@nd.optimizer
def induced_log_metric(
    lr: nd.NonNegative = 0.1,
    momentum: nd.Fraction = 0.9,
    beta: nd.Fraction = 0.8,
    xi: nd.NonNegative = 0.1,
    weight_decay: nd.NonNegative = 0.0,
):
    """SGD with momentum in the metric that the graph of the log of the loss induces.

    e averages ξ ‖G‖², of all layers,   W ← (1 − lr λ) W − lr f/(f² + ê) m̂ (2025,
    arXiv:2509.03594): the logarithm takes the unit from the loss, which has to be positive.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.induced_log_metric.check("loss_scale", witnesses=False).answer
        'invariant'
    """
    e = nd.ema(xi * nd.sum(nd.inner(G, G), over="layers"), beta, debias=True)
    m = nd.ema(G, momentum, debias=True)
    slow = nd.loss * nd.reciprocal(nd.loss**2 + e)
    return (1 - lr * weight_decay) * W - lr * slow * m
