"""Rules that keep an average of their iterates: to be evaluated at, or to be drawn back to."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def averaged_sgd(lr: nd.NonNegative = 1e-2):
    """Averaged SGD: plain steps, evaluated at the mean of all weights so far.

    W ← W − lr G, x ← x + (W − x) / t (Polyak and Juditsky, 1992; of networks Izmailov et al.,
    2018, arXiv:1803.05407); `opt.eval()` puts x in the place of W.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.averaged_sgd.check("permutations").answer
        'invariant'
    """
    new = W - lr * G
    x = nd.fix(lambda x: x + (new - x) / t, W)
    return nd.step(new, evaluate=x)


@nd.optimizer
def schedule_free_sgd(
    lr: nd.NonNegative = 1.0, beta: nd.Fraction = 0.9, weight_decay: nd.NonNegative = 0.0
):
    """Schedule-free SGD: gradients between an iterate and its mean, evaluated at the mean.

    z ← z − lr (G + λ W), x ← x + (z − x) / t, W ← (1 − β) z + β x (Defazio et al., 2024,
    arXiv:2405.15682), with decay at W as in the authors' code, and equal weights as at a constant
    lr. `opt.eval()` puts x in the place of W.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.schedule_free_sgd.check("orthogonal").answer
        'invariant'
    """
    z = nd.accumulate(-lr * nd.decay.coupled(G, weight_decay), W)
    x = nd.fix(lambda x: x + (z - x) / t, W)
    return nd.step((1 - beta) * z + beta * x, evaluate=x)


@nd.optimizer
def schedule_free_adamw(
    lr: nd.NonNegative = 2.5e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """Schedule-free AdamW: schedule-free steps, divided by the root of the average square.

    z ← z − lr (G / (√v̂ + ε) + λ W), x ← x + (z − x) / t, W ← (1 − β₁) z + β₁ x (Defazio et al.,
    2024, arXiv:2405.15682), without warm-up, with decay at W and the eps of the authors' code,
    beside the corrected root. `opt.eval()` puts x in the place of W.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.schedule_free_adamw.check("loss_scale").answer
        'invariant if eps = 0'
    """
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    z = nd.accumulate(-lr * (norm.sharp(G) + weight_decay * W), W)
    x = nd.fix(lambda x: x + (z - x) / t, W)
    return nd.step((1 - beta1) * z + beta1 * x, evaluate=x)


@nd.optimizer
def lookahead_sgd(
    lr: nd.NonNegative = 0.1,
    momentum: nd.Fraction = 0.9,
    k: nd.Count = 5,
    alpha: nd.Fraction = 0.8,
):
    """Lookahead of SGD: every k steps the weights are drawn back to slow ones.

    m ← μ m + G,  x = W − lr m;  at every k-th step s ← s + α (x − s) and W ← s, otherwise W ← x
    (Zhang et al., 2019, arXiv:1907.08610, whose fast and slow weights are W and s). The momentum
    goes on, as in the paper's experiments on images; codes can also reset it or draw it back.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.lookahead_sgd.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.momentum(G, momentum, normalized=False)
    return nd.lookahead(W - lr * m, k, alpha)


@nd.optimizer
def lookahead_adamw(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
    k: nd.Count = 5,
    alpha: nd.Fraction = 0.5,
):
    """Lookahead of AdamW: every k steps the weights are drawn back to slow ones.

    x = (1 − lr λ) W − lr m̂ / (√v̂ + ε);  at every k-th step s ← s + α (x − s) and W ← s, otherwise
    W ← x (Zhang et al., 2019, arXiv:1907.08610). Both moments go on.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.lookahead_adamw.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    fast = (1 - lr * weight_decay) * W - lr * norm.sharp(nd.ema(G, beta1, debias=True))
    return nd.lookahead(fast, k, alpha)
