"""The Adam family: a Frobenius norm weighted entry by entry by the second moment."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adam(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """Adam: the average gradient, divided entry by entry by the root of its average square.

    W ← W − lr m̂ / (√v̂ + ε): sharp of ‖D ∘ X‖_F with D² = √v̂ + ε (Kingma and Ba, 2014,
    arXiv:1412.6980). The eps is added to the root, after bias correction, as in torch.optim.Adam.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam.check("loss_scale").answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return W - lr * norm.sharp(m)


@nd.optimizer
def adamw(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 1e-2,
):
    """AdamW: Adam with decoupled weight decay, which shrinks the weights beside the step.

    W ← (1 − lr λ) W − lr m̂ / (√v̂ + ε), as in torch.optim.AdamW (Loshchilov and Hutter, 2017,
    arXiv:1711.05101).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adamw.check("translation").answer
        'invariant if weight_decay = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return (1 - lr * weight_decay) * W - lr * norm.sharp(m)


@nd.optimizer
def adam_sania(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """Adam-SANIA: Adam without the square root, which makes it scale invariant at ε = 0.

    W ← (1 − lr λ) W − lr m̂ / (v̂ + ε) (Abdukhakimov et al., 2023, arXiv:2312.17369). Public codes
    disagree on eps: added in place to the stored v, to v̂ (here), or used as a floor; the SANIA
    paper multiplies by a Polyak step as well.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam_sania.check("scale").answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(v + eps))
    return (1 - lr * weight_decay) * W - lr * norm.sharp(m)


@nd.optimizer
def amsgrad(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """AMSGrad: Adam with the largest second moment v so far in place of the last one.

    W ← W − lr m̂ / (√(max v / (1 − β₂^t)) + ε) (Reddi et al., 2018, arXiv:1904.09237), as in
    torch.optim.Adam(amsgrad=True): the maximum is of the uncorrected v, and corrected afterwards.
    The paper corrects neither moment.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.amsgrad.check("loss_scale").answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.running_max(nd.ema(G * G, beta2)) / (1 - beta2**t)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return W - lr * norm.sharp(m)


@nd.optimizer
def adamax(
    lr: nd.NonNegative = 2e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """AdaMax: Adam with a decaying maximum of gradients in place of the average square.

    u ← max(β₂ u, |G| + ε),   W ← W − lr m̂ / u (Kingma and Ba, 2014, arXiv:1412.6980), as in
    torch.optim.Adamax; the paper has no ε.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adamax.check("loss_scale").answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    u = nd.fix(lambda u: nd.maximum(beta2 * u, nd.abs(G) + eps), nd.zeros_like(G))
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(u))
    return W - lr * norm.sharp(m)
