"""SGD by shortened gradients: of all layers, of single rows, or smoothly by a power."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def clipped_sgd(lr: nd.NonNegative = 0.1, limit: nd.Positive = 1.0):
    """SGD with the gradient of all layers cut to a length.

    W ← W − lr min(1, c/‖G‖) G, ‖G‖ that of all layers, c = limit (Pascanu et al., 2013,
    arXiv:1211.5063; analysed in arXiv:2505.20817). `rule.on_gradient(lambda g: nd.clip(g, c))`
    makes this of any rule. Always clipped, it is normalized SGD, which the scale of the loss does
    not concern.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.clipped_sgd.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    return W - lr * nd.clip(G, limit, over="layers")


@nd.optimizer
def agc_sgd(
    lr: nd.NonNegative = 0.1,
    momentum: nd.Fraction = 0.9,
    limit: nd.Positive = 1e-2,
    eps: nd.NonNegative = 1e-3,
):
    """SGD with adaptive gradient clipping: no row may ask for more than a share of its weights.

    g_i = min(1, c max(‖W_i‖, ε)/‖G_i‖) G_i for each row i, c = limit,  m ← μ m + g,  W ← W − lr m
    (Brock et al., 2021, arXiv:2102.06171). Codes keep ‖G_i‖ ≥ 1e-6; the paper leaves out the last
    layer.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.agc_sgd.check("right_orthogonal", witnesses=False).answer
        'invariant'
    """
    allowed = limit * nd.maximum(nd.sqrt(nd.sum(W * W, over="cols")), eps)
    size = nd.sqrt(nd.sum(G * G, over="cols"))
    g = nd.minimum(1, allowed * nd.reciprocal(size)) * G
    m = nd.momentum(g, momentum, normalized=False)
    return W - lr * m


@nd.optimizer
def gradient_power_sgd(lr: nd.NonNegative = 0.01, power: nd.Fraction = 0.5):
    """SGD with the gradient of all layers divided by a power of its length.

    W ← W − lr G/‖G‖^p, from gradient descent, p = 0, towards its normalized form, p = 1: step
    lengths for losses whose smoothness grows as ‖G‖^p (Chen et al., 2023, arXiv:2303.02854).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.gradient_power_sgd.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    size = nd.over_layers(nd.frobenius, nd.lp(2)).value(G)
    return W - lr * nd.reciprocal(size**power) * G
