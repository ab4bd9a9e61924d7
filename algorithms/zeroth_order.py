"""Rules that ask for values of the loss alone: differences along one coordinate, remembered."""

from __future__ import annotations

import normdsl as nd
from normdsl import W, t


def remembered(rate, far):
    """Return a gradient of which each step renews one entry of the model, by two values of f.

    h ← h + rate (∂ − h) in that entry, ∂ = (f(W + τ e) − f(W − τ e))/(2 τ), τ = far.
    """
    u = nd.uniform_like(W)
    e = nd.where(u >= nd.max(nd.max(u), over="layers"), 1, 0)
    slope = (nd.loss_at(W + far * e) - nd.loss_at(W - far * e)) / (2 * far)
    return nd.fix(lambda h: h + rate * e * (slope - h), nd.zeros_like(W))


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
    return W - lr * nd.sign(remembered(1 - beta, far))


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
    return W + lr * nd.spectral.lmo(remembered(1 - beta, far))


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
    share = 2 / (t + 1)
    return (1 - share) * W + share * radius * nd.spectral.lmo(remembered(1, far))
