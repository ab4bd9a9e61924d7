"""Step lengths without a learning rate to tune: from past gradients, and the distance moved."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W

#: The norm of all layers together, √Σ ‖X_l‖²_F.
JOINT = nd.over_layers(nd.frobenius, nd.lp(2))


@nd.optimizer
def adagrad_norm(lr: nd.NonNegative = 1.0, start: nd.Positive = 0.1):
    """AdaGrad-Norm: SGD divided by the root of the sum of all squared gradients.

    b² ← b² + ‖G‖² from start²,   W ← W − lr/b G, ‖G‖ that of all layers (Ward et al., 2018,
    arXiv:1806.01811).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adagrad_norm.check("loss_scale", witnesses=False).answer
        'invariant if total starts multiplied by c^(2)'
    """
    total = nd.accumulate(nd.sum(nd.inner(G, G), over="layers"), start**2)
    return W - lr / nd.sqrt(total) * G


@nd.optimizer
def dog(lr: nd.NonNegative = 1.0, alpha: nd.NonNegative = 1e-6, eps: nd.NonNegative = 1e-8):
    """DoG, distance over gradients: AdaGrad-Norm as long as the way gone so far.

    r ← max(r, ‖W − W₀‖, α (1 + ‖W₀‖)),  b² ← b² + ‖G‖²,   W ← W − lr r/√(b² + ε) G, of all layers
    (Ivgi et al., 2023, arXiv:2302.12022). What is evaluated there is an average of the iterates,
    which is no part of the update. The first r ties it to the origin and to the unit of W.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dog.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    anchor = nd.fix(lambda start: start, W)
    total = nd.accumulate(nd.sum(nd.inner(G, G), over="layers"))
    moved, size = (nd.sqrt(nd.sum(nd.inner(x, x), over="layers")) for x in (W - anchor, anchor))
    radius = nd.running_max(nd.maximum(moved, alpha * (1 + size)))
    return W - lr * radius * nd.reciprocal(nd.sqrt(total + eps)) * G


@nd.optimizer
def layerwise_dog(
    lr: nd.NonNegative = 1.0, alpha: nd.NonNegative = 1e-6, eps: nd.NonNegative = 1e-8
):
    """L-DoG: DoG of each layer by itself.

    r ← max(r, ‖W − W₀‖_F, α (1 + ‖W₀‖_F)),  b² ← b² + ‖G‖_F²,   W ← W − lr r/√(b² + ε) G (Ivgi et
    al., 2023, arXiv:2302.12022).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.layerwise_dog.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    anchor = nd.fix(lambda start: start, W)
    moved, size = nd.frobenius.value(W - anchor), nd.frobenius.value(anchor)
    radius = nd.running_max(nd.maximum(moved, alpha * (1 + size)))
    total = nd.accumulate(nd.inner(G, G))
    return W - lr * radius * nd.reciprocal(nd.sqrt(total + eps)) * G


@nd.optimizer
def prodigy(
    lr: nd.NonNegative = 1.0,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    start: nd.Positive = 1e-6,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """Prodigy: Adam by an estimate d of how far the solution is, which only grows.

    r ← √β₂ r + lr d² ⟨G, W₀ − W⟩,  s ← √β₂ s + lr d² G,  d₊ = max(d, r/‖s‖₁), of all layers, from d
    = start;  W ← (1 − lr d λ) W − lr d m / (√v + d₊ ε), m and v the moments of d G (Mishchenko and
    Defazio, 2023, arXiv:2306.06101). As in the authors' code, which leaves out corrections for the
    start unless told otherwise, and can hold d back.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.prodigy.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    away, keep = nd.fix(lambda w: w, W) - W, nd.sqrt(beta2)

    def grow(d, r, s):
        r = keep * r + lr * d**2 * nd.sum(nd.inner(G, away), over="layers")
        s = keep * s + lr * d**2 * G
        return nd.maximum(d, r * nd.reciprocal(nd.sum(nd.sum(nd.abs(s)), over="layers"))), r, s

    d = nd.fix(grow, (start, 0, nd.zeros_like(G)))[0]
    old = nd.prev(d, init=start)
    root = nd.sqrt(nd.ema((old * G) ** 2, beta2)) + d * eps
    u = nd.ema(old * G, beta1) * nd.reciprocal(root)
    return (1 - lr * old * weight_decay) * W - lr * old * u


@nd.optimizer
def dadapt_adam(
    lr: nd.NonNegative = 1.0,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    start: nd.Positive = 1e-6,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """D-Adaptation of Adam: a learning rate by a lower bound d of how far the solution is.

    r ← √β₂ r + lr d ⟨G, s/(√v + ε)⟩, then s ← √β₂ s + lr d G,  d₊ = max(d, r/‖s‖₁), of all layers,
    from d = start;   W ← (1 − lr d λ) W − m / (√v + ε), m averaging lr d G (Defazio and Mishchenko,
    2023, arXiv:2301.07733, whose r and s are averages: it is the same d). As in the code, r takes
    the v before this gradient, where the paper takes the one with it.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dadapt_adam.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    keep, v = nd.sqrt(beta2), nd.ema(G * G, beta2)
    u = G * nd.reciprocal(nd.sqrt(nd.prev(v)) + eps)

    def grow(d, r, s):
        r = keep * r + lr * d * nd.sum(nd.inner(u, s), over="layers")
        s = keep * s + lr * d * G
        return nd.maximum(d, r * nd.reciprocal(nd.sum(nd.sum(nd.abs(s)), over="layers"))), r, s

    rate = lr * nd.prev(nd.fix(grow, (start, 0, nd.zeros_like(G)))[0], init=start)
    m = nd.ema(rate * G, beta1)
    return (1 - rate * weight_decay) * W - m * nd.reciprocal(nd.sqrt(v) + eps)


@nd.optimizer
def u_dog(start: nd.Positive = 1e-3):
    """U-DoG: accelerated, by gradients at averages, with steps as long as the way gone so far.

    r ← max(r, ‖W − W₀‖) from r_ε,  R ← R + r,  A(z) = x̄ + c (z − x̄), c = R/ΣR;   m = ∇f(A(W)),
    x̄ ← A(W − R/√(Q + M) m);   g = ∇f(x̄),  W ← W − R/√(Q + M) g, where M is the largest (R/r)² ‖m‖²
    and Q the sum of (R/r)² ‖g − m‖², each as far as it is known, of all layers (Kreisler et al.,
    2024, arXiv:2404.00666; UniXGrad of Kavis et al., 2019). There r counts the ways to the points
    W − R/√(Q + M) m as well, and denominators have logarithms as factors, which its theory needs.
    `opt.eval()` puts the average x̄ in the place of W. Two evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.u_dog.check("loss_scale", witnesses=False).answer
        'invariant'
    """
    r = nd.running_max(nd.maximum(JOINT.value(W - nd.start()), start))
    R = nd.accumulate(r)
    c = R / nd.accumulate(R)

    def step(mean, Q, M):
        m = nd.gradient(at=mean + c * (W - mean))
        M = nd.maximum(M, (R / r * JOINT.value(m)) ** 2)
        mean += c * (W - R * nd.reciprocal(nd.sqrt(Q + M)) * m - mean)
        return mean, Q + (R / r * JOINT.value(nd.gradient(at=mean) - m)) ** 2, M

    mean, Q, M = nd.fix(step, (W, 0, 0))
    return nd.step(W - R * nd.reciprocal(nd.sqrt(Q + M)) * nd.gradient(at=mean), evaluate=mean)
