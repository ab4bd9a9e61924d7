"""Rules that ask for values of the loss alone: differences along one coordinate, remembered."""

from __future__ import annotations

import normdsl as nd
from normdsl import W, t


def one_entry():
    """Return a matrix of zeros in each layer, but for a one in one place of the whole model."""
    u = nd.uniform_like(W)
    return nd.where(u >= nd.max(nd.max(u), over="layers"), 1, 0)


def difference_along(step):
    """Return how much higher the loss is a step ahead than a step behind."""
    return nd.loss_at(W + step) - nd.loss_at(W - step)


@nd.optimizer
def jaguar_sign(lr: nd.NonNegative = 1e-3, beta: nd.Fraction = 0.9, far: nd.Positive = 1e-2):
    """JAGUAR SignSGD: signs of a gradient of which each step measures one entry.

    ∂ = (f(W + τ e) − f(W − τ e))/(2 τ) for one entry e of the model at random, τ = far;
    m ← β m + (1 − β) ∂ in that entry alone,   W ← W − lr sign m, in all (Petrov et al., 2025,
    arXiv:2506.04430). The published code moves a random block of entries of every tensor at once,
    by the same +τ, and writes the one slope into all of the block. Two values of the loss a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.jaguar_sign.check("translation", witnesses=False).answer
        'invariant'
    """
    e = one_entry()
    slope = difference_along(far * e) / (2 * far)
    m = nd.fix(lambda m: m + (1 - beta) * e * (slope - m), nd.zeros_like(W))
    return W - lr * nd.sign(m)


@nd.optimizer
def jaguar_muon(lr: nd.NonNegative = 1e-3, beta: nd.Fraction = 0.9, far: nd.Positive = 1e-2):
    """JAGUAR Muon: polar factors of a gradient of which each step measures one entry.

    ∂ = (f(W + τ e) − f(W − τ e))/(2 τ) for one entry e of the model at random, τ = far;
    m ← β m + (1 − β) ∂ in that entry alone,   W ← W − lr polar(m) (Petrov et al., 2025,
    arXiv:2506.04430). Two values of the loss a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.jaguar_muon.check("translation", witnesses=False).answer
        'invariant'
    """
    e = one_entry()
    slope = difference_along(far * e) / (2 * far)
    m = nd.fix(lambda m: m + (1 - beta) * e * (slope - m), nd.zeros_like(W))
    return W + lr * nd.spectral.lmo(m)


@nd.optimizer
def jaguar_frank_wolfe(radius: nd.NonNegative = 1.0, far: nd.Positive = 1e-2):
    """JAGUAR Frank-Wolfe: steps in a ball of the spectral norm, one slope of the loss known anew.

    h ← ∂ in one entry e of the model at random, ∂ = (f(W + τ e) − f(W − τ e))/(2 τ), τ = far;
    W ← (1 − γ) W + γ ρ lmo(h), γ = 2/(t + 1), ρ = radius (Veprikov et al., 2024, arXiv:2409.10442,
    for one exact loss; of a stochastic one h is averaged). Two values of the loss a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.jaguar_frank_wolfe.check("loss_scale", witnesses=False).answer
        'invariant'
    """
    e, share = one_entry(), 2 / (t + 1)
    slope = difference_along(far * e) / (2 * far)
    h = nd.fix(lambda h: h + e * (slope - h), nd.zeros_like(W))
    return (1 - share) * W + share * radius * nd.spectral.lmo(h)
