"""A rule that no package has, as a user writes one: it has to be as fast as the known ones."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def tempered(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.99,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 1e-2,
):
    """Lion's two averages, divided by the root of an average |G|, and clipped to ±1.

    u = (β₁ m + (1 − β₁) G) / (a + ε), a the average of |G|,  W ← (1 − lr λ) W − lr clip(u, −1, 1)

    Example:
        >>> from normdsl.benchmarks.invented import tempered
        >>> tempered.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m = nd.prev(nd.ema(G, beta2))
    a = nd.ema(nd.abs(G), beta2)
    u = (beta1 * m + (1 - beta1) * G) / (a + eps)
    return (1 - lr * weight_decay) * W - lr * nd.maximum(nd.minimum(u, 1), -1)
