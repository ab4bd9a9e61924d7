"""Momenta that correct for the way the weights went: by queries on the sample of the step."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t

#: The norm of all layers together, √Σ ‖X_l‖²_F.
JOINT = nd.over_layers(nd.frobenius, nd.lp(2))
#: 0 at the first step, 1 at all others: averages that start from the first gradient.
LATER = nd.sign(t - 1)


@nd.optimizer
def storm(lr: nd.NonNegative = 1e-2, a: nd.Fraction = 0.1):
    """STORM: a momentum whose old part is corrected by the change of this sample's gradient.

    m ← G + (1 − a) (m − ∇f(W₋)), W ← W − lr m, from m = G at the first step: the recursive momentum
    of Cutkosky and Orabona, 2019 (arXiv:1905.10018), called MVR elsewhere, with a constant rate
    instead of the paper's adaptive ones. W₋ are the weights a step ago. Two evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.storm.check("orthogonal").answer
        'invariant'
    """
    old = nd.gradient(at=nd.prev(W, init=W))
    m = nd.fix(lambda m: G + (1 - a) * LATER * (m - old), nd.zeros_like(G))
    return W - lr * m


@nd.optimizer
def nigt(lr: nd.NonNegative = 1e-2, eta: nd.Fraction = 0.1):
    """NIGT: normalised momentum of gradients taken ahead, where the average would be unbiased.

    m ← (1 − η) m + η ∇f(W + (1 − η)/η (W − W₋)), W ← W − lr m / ‖m‖, from the first gradient, with
    the norm of all layers (Cutkosky and Mehta, 2020, arXiv:2002.03305; implicit gradient transport
    of Arnold et al., 2019, arXiv:1906.03532). One evaluation a step, at the point ahead.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.nigt.check("loss_scale").answer
        'invariant'
    """
    slope = nd.gradient(at=W + (1 - eta) / eta * (W - nd.prev(W, init=W)))
    m = nd.fix(lambda m: slope + (1 - eta) * LATER * (m - slope), nd.zeros_like(G))
    return W + lr * JOINT.lmo(m)


@nd.optimizer
def hessian_momentum(lr: nd.NonNegative = 1e-2, eta: nd.Fraction = 0.1):
    """Hessian-corrected momentum: the old average moves as the gradient did, by a product with H.

    m ← (1 − η) (m + ∇²f(W) (W − W₋)) + η G, W ← W − lr m, from the first gradient: SGDHess of Tran
    and Cutkosky, 2021 (arXiv:2103.03265), without its clipping. One evaluation and one product
    with the Hessian a step; the closure calls loss.backward(create_graph=True).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.hessian_momentum.check("translation").answer
        'invariant'
    """
    carried = nd.hessian_product(W - nd.prev(W, init=W))
    m = nd.fix(lambda m: G + (1 - eta) * LATER * (m + carried - G), nd.zeros_like(G))
    return W - lr * m


@nd.optimizer
def sarah(lr: nd.NonNegative = 1e-2, period: nd.Count = 10):
    """SARAH: a gradient that is kept up to date by its changes, and taken anew now and then.

    m ← m + G − ∇f(W₋), but m ← G at the first step and at every `period`-th, W ← W − lr m (Nguyen
    et al., 2017, arXiv:1703.00102; SPIDER of Fang et al., 2018, arXiv:1807.01695). G and ∇f(W₋) are
    on the sample of the step; where m is taken anew, the papers take all samples or many, which is
    for the closure to do, as it can count the steps. Two evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sarah.check("orthogonal").answer
        'invariant'
    """
    change = G - nd.gradient(at=nd.prev(W, init=W))
    m = nd.fix(lambda m: nd.every(period, G, G + LATER * (m + change - G)), nd.zeros_like(G))
    return W - lr * m


@nd.optimizer
def page_sgd(lr: nd.NonNegative = 1e-2, probability: nd.Fraction = 0.1):
    """PAGE: a gradient that is kept up to date by its changes, and taken anew by a coin.

    m ← G with probability p and at the first step, else m ← m + G − ∇f(W₋), W ← W − lr m, by one
    coin for all layers (Li et al., 2021, arXiv:2008.10898). All gradients are on the sample of the
    step; the paper takes a larger one where m is taken anew. Two evaluations a step, also where one
    would do.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.page_sgd.check("orthogonal").answer
        'invariant'
    """
    anew = nd.mask(probability, over="layers")
    old = nd.gradient(at=nd.prev(W, init=W))
    m = nd.fix(lambda m: G + (1 - anew) * LATER * (m - old), nd.zeros_like(G))
    return W - lr * m


@nd.optimizer
def mars_exact(
    lr: nd.NonNegative = 3e-3,
    beta1: nd.Fraction = 0.95,
    beta2: nd.Fraction = 0.99,
    gamma: nd.NonNegative = 0.025,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """MARS-AdamW in its exact form: Adam of gradients corrected on the sample of the step.

    c = G + γ β₁/(1 − β₁) (G − ∇f(W₋)), cut to length 1, W ← (1 − lr λ) W − lr m̂ √(1 − β₂^t) / (√v +
    ε), m and v the moments of c (Yuan et al., 2024, arXiv:2411.10438). `mars` takes the gradient of
    the step before in the place of ∇f(W₋), which saves the second evaluation. There is no change at
    the first step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.mars_exact.check("permutations", witnesses=False).answer
        'invariant'
    """
    change = G - nd.gradient(at=nd.prev(W, init=W))
    c = nd.clip(G + gamma * beta1 / (1 - beta1) * change, 1)
    rate = lr * nd.sqrt(1 - beta2**t) / (1 - beta1**t)
    u = nd.ema(c, beta1) * nd.reciprocal(nd.sqrt(nd.ema(c * c, beta2)) + eps)
    return (1 - lr * weight_decay) * W - rate * u


@nd.optimizer
def randomized_hessian_momentum(lr: nd.NonNegative = 1e-2, eta: nd.Fraction = 0.1):
    """Momentum carried along by the Hessian at a random point of the way, and normalised.

    m ← (1 − η) (m + ∇²f(W₋ + q (W − W₋)) (W − W₋)) + η G with q uniform in [0, 1],
    W ← W − lr m / ‖m‖, from the first gradient, with one q and one norm for all layers: on average
    over q the product is the change of the gradient (RHM; Salehkaleybar et al., 2022,
    arXiv:2205.08253; Fatkhullin et al., 2023, arXiv:2302.01734).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.randomized_hessian_momentum.check("loss_scale").answer
        'invariant'
    """
    old, q = nd.prev(W, init=W), nd.uniform(over="layers")
    carried = nd.hessian_product(W - old, at=old + q * (W - old))
    m = nd.fix(lambda m: G + (1 - eta) * LATER * (m + carried - G), nd.zeros_like(G))
    return W + lr * JOINT.lmo(m)


@nd.optimizer
def clipped_hessian_momentum(
    lr: nd.NonNegative = 1e-2,
    eta: nd.Fraction = 0.1,
    limit: nd.Positive = 1.0,
    hessian_limit: nd.Positive = 10.0,
):
    """Randomized Hessian momentum with both of its terms clipped, for gradients with heavy tails.

    m ← (1 − η) (m + clip(∇²f(W₋ + q (W − W₋)) (W − W₋), lr λ_h)) + η clip(G, λ),
    W ← W − lr m / ‖m‖, of all layers, q uniform in [0, 1], λ, λ_h = limit, hessian_limit
    (Clip-NSGDHess, 2025, arXiv:2510.10690, by a restatement). m starts from the first clipped
    gradient.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.clipped_hessian_momentum.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    old, q = nd.prev(W, init=W), nd.uniform(over="layers")
    carried = nd.hessian_product(W - old, at=old + q * (W - old))
    way = nd.clip(carried, lr * hessian_limit, over="layers", name="way")
    g = nd.clip(G, limit, over="layers")
    m = nd.fix(lambda m: g + (1 - eta) * LATER * (m + way - g), nd.zeros_like(G))
    return W + lr * JOINT.lmo(m)
