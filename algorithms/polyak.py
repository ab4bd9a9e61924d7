"""Step lengths from the value of the loss: Polyak's step, with momentum, models and metrics.

f* = floor is a lower bound of the loss, in its units. All read the loss: call `opt.step(loss=…)`,
or pass a closure. Lengths are those of all layers together.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def polyak_sgd(lr: nd.NonNegative = 1.0, floor: nd.LossValue = 0.0):
    """SGD with Polyak's step: as far as the loss, were it linear, needs to reach its floor.

    W ← W − lr (f − f*)₊/‖G‖² G (Polyak, 1987; Hazan and Kakade, 2019, arXiv:1905.00313).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.polyak_sgd.check("uniform_scale", witnesses=False).answer
        'invariant'
        >>> nd.algorithms.polyak_sgd.check("loss_scale", witnesses=False).answer
        'invariant if floor is scaled along with the loss'
    """
    size = nd.sum(nd.inner(G, G), over="layers")
    return W - lr * nd.maximum(nd.loss - floor, 0) * nd.reciprocal(size) * G


@nd.optimizer
def sps_max(limit: nd.Positive = 1.0, c: nd.Positive = 0.5, floor: nd.LossValue = 0.0):
    """SPSmax: Polyak's step of the sample's loss, no longer than a limit.

    W ← W − min(γ, (f − f*)₊/(c ‖G‖²)) G, γ = limit (Loizou et al., 2020, arXiv:2002.10542). With c
    = 1 and f* = 0 it is ALI-G without momentum (arXiv:1906.05661), and the model-based step of
    arXiv:1803.06523. The limit has units, which ends the invariance that Polyak's step has.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sps_max.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    size = nd.sum(nd.inner(G, G), over="layers")
    rate = nd.maximum(nd.loss - floor, 0) * nd.reciprocal(c * size)
    return W - nd.minimum(rate, limit) * G


@nd.optimizer
def sps_smoothed(
    start: nd.Positive = 1.0,
    c: nd.Positive = 0.5,
    growth: nd.Positive = 2.0,
    share: nd.Positive = 0.01,
):
    """SPS, smoothed: Polyak's step, which may grow by a factor in an epoch.

    r ← min(γ^s r, f₊/(c ‖G‖²)) from start,   W ← W − r G, with γ = growth and s = share, that of a
    batch in the data (Loizou et al., 2020, arXiv:2002.10542, and their code).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sps_smoothed.check("loss_scale", witnesses=False).answer
        'invariant if rate starts multiplied by c^(-1)'
    """
    size = nd.sum(nd.inner(G, G), over="layers")
    most = nd.maximum(nd.loss, 0) * nd.reciprocal(c * size)
    rate = nd.fix(lambda r: nd.minimum(most, growth**share * r), start)
    return W - rate * G


@nd.optimizer
def alr_smag(
    limit: nd.Positive = 0.1,
    momentum: nd.Fraction = 0.9,
    c: nd.Positive = 1.0,
    weight_decay: nd.NonNegative = 0.0,
    floor: nd.LossValue = 0.0,
):
    """ALR-SMAG: Polyak's step along a sum of past gradients, no longer than a limit.

    d ← μ d + G,  r = min(γ, (f − f*)₊/(c ‖d‖²)),   W ← (1 − r λ) W − r d, γ = limit (Wang et al.,
    2023, arXiv:2305.12939). The momentum is a sum: with an average, r would not grow as it gains.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.alr_smag.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    d = nd.momentum(G, momentum, normalized=False)
    size = nd.sum(nd.inner(d, d), over="layers")
    rate = nd.minimum(limit, nd.maximum(nd.loss - floor, 0) * nd.reciprocal(c * size))
    return (1 - rate * weight_decay) * W - rate * d


@nd.optimizer
def alr_hb(momentum: nd.Fraction = 0.9, floor: nd.LossValue = 0.0):
    """ALR-HB: the heavy ball with the step length that is best for a convex loss.

    Δ = W − W₋,  r = (f − f* + μ ⟨G, Δ⟩)/‖G‖²,   W ← W − r G + μ Δ: the smallest bound on the
    distance to a minimiser (Wang et al., 2023, arXiv:2305.12939).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.alr_hb.check("uniform_scale", witnesses=False).answer
        'invariant'
    """
    move = W - nd.prev(W, init=W)
    size, along = (nd.sum(nd.inner(G, x), over="layers") for x in (G, move))
    rate = (nd.loss - floor + momentum * along) * nd.reciprocal(size)
    return W - rate * G + momentum * move


@nd.optimizer
def momo(lr: nd.NonNegative = 1.0, beta: nd.Fraction = 0.9, floor: nd.LossValue = 0.0):
    """MoMo: SGD with momentum that stops where an average of linear models reaches the floor.

    W ← W − min(lr, (f̂ + ⟨m̂, W⟩ − f*)₊/‖m̂‖²) m̂, with f̂ the average of f − ⟨G, W⟩ and m̂ of G,
    both corrected for their start (Schaipp et al., 2023, arXiv:2305.07583). The code starts
    averages from the first sample unless told to correct them, and can decay weights and raise f*.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.momo.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, beta, debias=True)
    offset = nd.ema(nd.loss - nd.sum(nd.inner(W, G), over="layers"), beta, debias=True)
    gap = nd.maximum(offset + nd.sum(nd.inner(W, m), over="layers") - floor, 0)
    size = nd.sum(nd.inner(m, m), over="layers")
    return W - nd.minimum(lr, gap * nd.reciprocal(size)) * m


@nd.optimizer
def momo_adam(
    lr: nd.NonNegative = 1e-2,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    floor: nd.LossValue = 0.0,
):
    """MoMo-Adam: Adam that stops where an average of linear models reaches the floor.

    u = m̂ / (√v̂ + ε),   W ← W − min(lr, (f̂ + ⟨m̂, W⟩ − f*)₊/⟨m̂, u⟩) u, with f̂ the average of f
    − ⟨G, W⟩ (Schaipp et al., 2023, arXiv:2305.07583).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.momo_adam.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0 and floor is scaled along with the loss'
    """
    m, v = nd.ema(G, beta1, debias=True), nd.ema(G * G, beta2, debias=True)
    u = m * nd.reciprocal(nd.sqrt(v) + eps)
    offset = nd.ema(nd.loss - nd.sum(nd.inner(W, G), over="layers"), beta1, debias=True)
    gap = nd.maximum(offset + nd.sum(nd.inner(W, m), over="layers") - floor, 0)
    size = nd.sum(nd.inner(m, u), over="layers")
    return W - nd.minimum(lr, gap * nd.reciprocal(size)) * u


@nd.optimizer
def adam_sqr(beta2: nd.Fraction = 0.999, eps: nd.NonNegative = 1e-8, floor: nd.LossValue = 0.0):
    """SANIA's Adam-SQR: Polyak's step of a quadratic model whose curvatures are v̂.

    u = G / (v̂ + ε),  N = ⟨G, u⟩,   W ← W − (1 − √(1 − 2 (f − f*)/N)) u, and 1 for that where the
    model does not reach f* (Abdukhakimov et al., 2023, arXiv:2312.17369). Scale invariant, as v̂
    has no root; but N has no unit and the loss has. Codes disagree on ε: a floor of 0.1 of v̂, or
    added.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam_sqr.check("scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    u = G * nd.reciprocal(nd.ema(G * G, beta2, debias=True) + eps)
    size = nd.sum(nd.inner(G, u), over="layers")
    left = 1 - 2 * nd.maximum(nd.loss - floor, 0) * nd.reciprocal(size)
    return W - (1 - nd.sqrt(nd.maximum(left, 0))) * u


@nd.optimizer
def adagrad_sqr(eps: nd.NonNegative = 1e-8, floor: nd.LossValue = 0.0):
    """SANIA's AdaGrad-SQR: Polyak's step of a quadratic model whose curvatures are sums of G².

    `adam_sqr` with v ← v + G² in place of v̂ (Abdukhakimov et al., 2023, arXiv:2312.17369).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adagrad_sqr.check("scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    u = G * nd.reciprocal(nd.accumulate(G * G) + eps)
    size = nd.sum(nd.inner(G, u), over="layers")
    left = 1 - 2 * nd.maximum(nd.loss - floor, 0) * nd.reciprocal(size)
    return W - (1 - nd.sqrt(nd.maximum(left, 0))) * u
