"""Steps that keep to a set: multiplicative ones, which keep signs, and Frank-Wolfe's in a ball."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def exponentiated_gradient(lr: nd.NonNegative = 0.01):
    """Exponentiated gradient: weights are multiplied, and so keep their signs.

    W ← W ∘ exp(−lr G ∘ sign W): mirror descent by the entropy, of weights of either sign (Kivinen
    and Warmuth, 1997; arXiv:2510.02730). Weights that are 0 stay 0.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.exponentiated_gradient.check("sign_flips", witnesses=False).answer
        'invariant'
    """
    return W * nd.exp(-lr * G * nd.sign(W))


@nd.optimizer
def frank_wolfe(radius: nd.NonNegative = 10.0):
    """Frank-Wolfe in a ball of the spectral norm, with the step 2/(t + 1) that knows no units.

    W ← (1 − γ) W + γ ρ lmo(G), γ = 2/(t + 1) with t from 1: 2/(t + 2) where steps count from 0
    (Frank and Wolfe, 1956; Carderera et al., 2021, arXiv:2105.13913). The first step leaves the
    start for the ball's surface. The monotone variant keeps weights that no step improves.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.frank_wolfe.check("loss_transform", witnesses=False).answer
        'invariant'
    """
    share = 2 / (t + 1)
    return (1 - share) * W + share * radius * nd.spectral.lmo(G)
