"""Steps that agree with the gradient's sign: entries masked, or turned, where they do not."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def cautious_adamw(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-6,
    weight_decay: nd.NonNegative = 0.0,
):
    """Cautious AdamW: no entry moves against the sign of its gradient.

    u = m̂ / (√v̂ + ε),  φ = 1[u ∘ G > 0],   W ← (1 − lr λ) W − lr m n / (Σ φ + 1) φ ∘ u (Liang et
    al., 2024, arXiv:2411.16085): the other entries step further instead. As in the paper; the
    authors' code divides φ by its mean, at least 0.001, and decays after the step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.cautious_adamw.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m, v = nd.ema(G, beta1, debias=True), nd.ema(G * G, beta2, debias=True)
    u = m * nd.reciprocal(nd.sqrt(v) + eps)
    agree = nd.maximum(nd.sign(u * G), 0)
    rate = lr * nd.rows * nd.cols / (nd.sum(agree) + 1)
    return (1 - lr * weight_decay) * W - rate * agree * u


@nd.optimizer
def cautious_lion(
    lr: nd.NonNegative = 1e-4,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.99,
    weight_decay: nd.NonNegative = 0.0,
):
    """Cautious Lion: no entry moves against the sign of its gradient.

    u = sign(c) with the momentum c of Lion,  φ = 1[u ∘ G > 0], W ← (1 − lr λ) W − lr m n / (Σ φ +
    1) φ ∘ u (Liang et al., 2024, arXiv:2411.16085).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.cautious_lion.check("loss_transform", witnesses=False).answer
        'invariant if beta1 = 0'
    """
    u = nd.sign(nd.momentum(G, beta2, readout=beta1))
    agree = nd.maximum(nd.sign(u * G), 0)
    rate = lr * nd.rows * nd.cols / (nd.sum(agree) + 1)
    return (1 - lr * weight_decay) * W - rate * agree * u


@nd.optimizer
def cautious_muon(
    lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, weight_decay: nd.NonNegative = 0.0
):
    """Cautious Muon: no entry moves against the sign of its gradient.

    u = polar(z) with z the Nesterov form of m,  φ = 1[u ∘ G > 0], W ← (1 − lr λ) W − lr √max(1,
    m/n) m n / (Σ φ + 1) φ ∘ u: the mask that Liang et al., 2024 (arXiv:2411.16085) put on any
    momentum method. It costs Muon its invariance under rotations.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.cautious_muon.check("signed_permutations", witnesses=False).answer
        'invariant'
    """
    u = nd.polar(nd.momentum(G, momentum, readout=momentum * momentum))
    agree = nd.maximum(nd.sign(u * G), 0)
    rate = lr * nd.scale.shape * nd.rows * nd.cols / (nd.sum(agree) + 1)
    return (1 - lr * weight_decay) * W - rate * agree * u


@nd.optimizer
def grams(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-6,
    weight_decay: nd.NonNegative = 0.0,
):
    """Grams: steps as long as Adam's in each entry, in the direction of the gradient's sign.

    W ← (1 − lr λ) W − lr sign(G) ∘ |m̂| / (√v̂ + ε) (Cao et al., 2024, arXiv:2412.17107).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.grams.check("permutations", witnesses=False).answer
        'invariant'
    """
    m, v = nd.ema(G, beta1, debias=True), nd.ema(G * G, beta2, debias=True)
    u = nd.abs(m) * nd.reciprocal(nd.sqrt(v) + eps)
    return (1 - lr * weight_decay) * W - lr * nd.sign(G) * u
