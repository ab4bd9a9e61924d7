"""Relatives of Adam by other moments: of differences, of deviations, of predictions."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adabelief(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """AdaBelief: Adam that divides by how far gradients are from their average.

    v ← β₂ v + (1 − β₂) (G − m)² + ε,   W ← (1 − lr λ) W − lr m̂ / (√v̂ + ε) (Zhuang et al., 2020,
    arXiv:2010.07468). ε is added at both places, to v in every step, as in the paper's algorithm;
    the code's default is 1e-16, and it can rectify as RAdam does.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adabelief.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1)
    v = nd.fix(lambda v: beta2 * v + (1 - beta2) * (G - m) ** 2 + eps, nd.zeros_like(G))
    u = m / (1 - beta1**t) * nd.reciprocal(nd.sqrt(v / (1 - beta2**t)) + eps)
    return (1 - lr * weight_decay) * W - lr * u


@nd.optimizer
def adan(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.98,
    beta2: nd.Fraction = 0.92,
    beta3: nd.Fraction = 0.99,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.02,
):
    """Adan: Adam with Nesterov's momentum, by an average of the changes of the gradient.

    d = G − G₋,  n averages (G + β₂ d)²,   W ← (W − lr (m̂ + β₂ v̂) / (√n̂ + ε)) / (1 + lr λ), m
    averaging G and v averaging d, by β₁, β₂, β₃ as in the code, where the paper has 1 − β (Xie et
    al., 2022, arXiv:2208.06677). There is no change at the first step. Codes can decay by 1 − lr λ
    instead, and clip the gradient of all layers.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adan.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    d = nd.minimum(t - 1, 1) * (G - nd.prev(G))
    m, v = nd.ema(G, beta1, debias=True), nd.ema(d, beta2, debias=True)
    n = nd.ema((G + beta2 * d) ** 2, beta3, debias=True)
    u = (m + beta2 * v) * nd.reciprocal(nd.sqrt(n) + eps)
    return (W - lr * u) / (1 + lr * weight_decay)


@nd.optimizer
def mars(
    lr: nd.NonNegative = 3e-3,
    beta1: nd.Fraction = 0.95,
    beta2: nd.Fraction = 0.99,
    gamma: nd.NonNegative = 0.025,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """MARS-AdamW: Adam of gradients corrected by how they changed, which reduces their variance.

    c = G + γ β₁/(1 − β₁) (G − G₋), cut to length 1, W ← (1 − lr λ) W − lr m̂ √(1 − β₂^t) / (√v + ε)
    with m and v the moments of c (Yuan et al., 2024, arXiv:2411.10438). The approximate form, in
    which G₋ is the last gradient, 0 at first; the exact one takes it at the old weights on the new
    sample. ε is added before the correction of v, as in the authors' code.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.mars.check("permutations", witnesses=False).answer
        'invariant'
    """
    c = nd.clip(G + gamma * beta1 / (1 - beta1) * (G - nd.prev(G)), 1)
    rate = lr * nd.sqrt(1 - beta2**t) / (1 - beta1**t)
    u = nd.ema(c, beta1) * nd.reciprocal(nd.sqrt(nd.ema(c * c, beta2)) + eps)
    return (1 - lr * weight_decay) * W - rate * u


@nd.optimizer
def adadelta(lr: nd.NonNegative = 1.0, rho: nd.Fraction = 0.9, eps: nd.NonNegative = 1e-6):
    """Adadelta: RMSprop times the root mean square of past steps, which gives it W's unit.

    v ← ρ v + (1 − ρ) G²,  Δ = √(u + ε)/√(v + ε) G,  u ← ρ u + (1 − ρ) Δ²,  W ← W − lr Δ (Zeiler,
    2012, arXiv:1212.5701). ε starts it: with ε = 0 it would never move, so that no change of scale
    leaves it alone in spite of the units.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adadelta.check("transpose", witnesses=False).answer
        'invariant'
    """
    g = G * nd.reciprocal(nd.sqrt(nd.ema(G * G, rho) + eps))
    u = nd.fix(
        lambda u: rho * u + (1 - rho) * (u + eps) * g**2, nd.zeros_like(G), lambda old, new: old
    )
    return W - lr * nd.sqrt(u + eps) * g


@nd.optimizer
def qhadam(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.995,
    beta2: nd.Fraction = 0.999,
    nu: nd.Fraction = 0.7,
    eps: nd.NonNegative = 1e-8,
):
    """QHAdam: Adam that joins the gradient and a slow average of it.

    W ← W − lr ((1 − ν) G + ν m̂) / (√v̂ + ε) (Ma and Yarats, 2018, arXiv:1810.06801), with their ν₁
    = ν and ν₂ = 1, as they recommend. MT-DAO (arXiv:2510.05361) averages m and v over workers now
    and then, and joins several averages by weights.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.qhadam.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m, v = nd.ema(G, beta1, debias=True), nd.ema(G * G, beta2, debias=True)
    return W - lr * ((1 - nu) * G + nu * m) * nd.reciprocal(nd.sqrt(v) + eps)


@nd.optimizer
def optimistic_amsgrad(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """Optimistic AMSGrad: gradients are taken where the next step is expected to lead.

    x ← x − lr m / (√v̂ + ε),   W ← x − lr (β₁ m + (1 − β₁) p) / (√v̂ + ε), with p a prediction of
    the next gradient, v averaging (G − p₋)², v̂ the largest v so far (Wang et al., 2019,
    arXiv:1903.01435). Predicted is the last gradient; the paper extrapolates from several. W are
    the weights of the gradient, x, a state, those of its analysis.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.optimistic_amsgrad.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1)
    v = nd.running_max(nd.ema((G - nd.prev(G)) ** 2, beta2))
    rate = lr * nd.reciprocal(nd.sqrt(v) + eps)
    x = nd.fix(lambda x: x - rate * m, W)
    return x - rate * (beta1 * m + (1 - beta1) * G)
