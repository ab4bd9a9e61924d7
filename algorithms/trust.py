"""Steps as long as a share of the weights, layer by layer: trust ratios."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def lamb(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-6,
    weight_decay: nd.NonNegative = 0.01,
    floor: nd.NonNegative = 1e-3,
):
    """LAMB: Adam's direction, each layer's step being a share lr of the norm of its weights.

    u = m̂ / (√v̂ + ε) + λ W,   W ← W − lr max(‖W‖_F, γ) u/‖u‖_F (You et al., 2019,
    arXiv:1904.00962). γ = floor is the lower end of the paper's φ, without which weights would not
    leave 0; codes take the ratio 1 there. pytorch_optimizer decays apart from u, does not correct
    v, and keeps ‖W‖_F ≤ 10; other codes clip the gradient of all layers first.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.lamb.check("uniform_scale", eps=0, floor=0, witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    m, v = nd.ema(G, beta1, debias=True), nd.ema(G * G, beta2, debias=True)
    u = m * nd.reciprocal(nd.sqrt(v) + eps) + weight_decay * W
    return W + lr * nd.maximum(nd.frobenius.value(W), floor) * nd.frobenius.lmo(u)


@nd.optimizer
def lars(
    lr: nd.NonNegative = 1.0,
    momentum: nd.Fraction = 0.9,
    trust: nd.Positive = 1e-3,
    weight_decay: nd.NonNegative = 1e-4,
    floor: nd.NonNegative = 1e-3,
):
    """LARS: momentum of gradients that were scaled to a share of the norm of their weights.

    g = η w / (‖G‖_F + λ w) (G + λ W) with w = max(‖W‖_F, γ) and η = trust,  m ← μ m + lr g,  W ← W
    − m (You et al., 2017, arXiv:1708.03888). γ = floor lets weights leave 0, where codes step as
    SGD does. As each gradient is scaled before it is remembered, a loss transformed anew at every
    step changes nothing without decay.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.lars.check("loss_transform", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    length = nd.maximum(nd.frobenius.value(W), floor)
    local = trust * length * nd.reciprocal(nd.frobenius.value(G) + weight_decay * length)
    m = nd.momentum(lr * local * (G + weight_decay * W), momentum, normalized=False)
    return W - m
