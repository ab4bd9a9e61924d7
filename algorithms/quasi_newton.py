"""Quasi-Newton methods: the curvature of the loss, gathered from differences of gradients.

Their statistics are on pairs of entries, mn×mn: for small layers, each by itself.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def bfgs(lr: nd.NonNegative = 0.1, start: nd.Positive = 1.0):
    """BFGS with a fixed rate: steps by an inverse Hessian that explains how gradients change.

    s = vec(W − W₋),  y = vec(G − G₋);  H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ with ρ = 1/⟨s, y⟩,
    where that is positive, from γ I, γ = start;  W ← W − lr H G (Broyden et al., 1970, each on his
    own; Nocedal and Wright, 2006, section 6.1). Codes search along the line, are of all layers at
    once, and take ⟨s, y⟩/⟨y, y⟩ for γ before the first update.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.bfgs.check("affine", witnesses=False).answer
        'invariant if H starts transformed along with the weights'
    """
    s, y = nd.vec(W - nd.prev(W, init=W)), nd.vec(G - nd.prev(G))
    H = nd.fix(lambda H: nd.bfgs_update(H, s, y), start * nd.eye_like(s @ s.T))
    return W - lr * nd.unvec(H @ nd.vec(G))


@nd.optimizer
def online_bfgs(lr: nd.NonNegative = 0.1, damping: nd.NonNegative = 0.1, start: nd.Positive = 1.0):
    """Online BFGS: both gradients of a difference are of one sample, and it is damped.

    s = −lr H G,  y = ∇f(W + s) − G + λ s, λ = damping, on the sample of the step;  W ← W + s, and H
    is updated by s and y as in `bfgs`, for the next step (Schraudolph et al., 2007, AISTATS). There
    lr falls by τ/(τ + t), the first step scales H by ⟨s, y⟩/⟨y, y⟩, and the last term of the update
    has a factor c ≤ 1.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.online_bfgs.check("affine", witnesses=False).answer
        'invariant if damping = 0 and H starts transformed along with the weights'
    """

    def renewed(H):
        s = -lr * H @ nd.vec(G)
        y = nd.vec(nd.gradient(at=W + nd.unvec(s)) - G) + damping * s
        return nd.bfgs_update(H, s, y)

    start *= nd.eye_like(nd.vec(G) @ nd.vec(G).T)
    H = nd.fix(renewed, start)
    return W - lr * nd.unvec(nd.prev(H, init=start) @ nd.vec(G))


@nd.optimizer
def ceqn(inexactness: nd.Positive = 2.0, smoothness: nd.Positive = 1.0, start: nd.Positive = 1.0):
    """CEQN: BFGS with the rate at which a cubic model of the loss is stationary along the step.

    D = H G, H as in `bfgs`,  N = √⟨G, D⟩ of all layers,
    W ← W − 2/(θ + √(θ² + 4 L N)) D with θ, L = inexactness, smoothness (arXiv:2508.19712). The
    adaptive variant there raises θ until the loss has fallen enough; the multiple of L in the paper
    could not be confirmed. With exact Hessians and another constant it is `aicn`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.ceqn.check("scale", witnesses=False).answer
        'invariant if H starts transformed along with the weights'
    """
    s, y = nd.vec(W - nd.prev(W, init=W)), nd.vec(G - nd.prev(G))
    H = nd.fix(lambda H: nd.bfgs_update(H, s, y), start * nd.eye_like(s @ s.T))
    D = nd.unvec(H @ nd.vec(G))
    N = nd.sqrt(nd.maximum(nd.sum(nd.inner(G, D), over="layers"), 0))
    return W - 2 / (inexactness + nd.sqrt(inexactness**2 + 4 * smoothness * N)) * D
