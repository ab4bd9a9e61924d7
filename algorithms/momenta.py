"""SGD by other momenta: with a look ahead, with two rates, in two sequences, with a prediction."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def nesterov_sgd(
    lr: nd.NonNegative = 1e-3, momentum: nd.Fraction = 0.9, weight_decay: nd.NonNegative = 0.0
):
    """SGD with Nesterov's momentum: a step against the gradient and the momentum that it made.

    g = G + λ W,  m ← μ m + g,   W ← W − lr (g + μ m) (Sutskever et al., 2013, ICML 30), as in
    torch.optim.SGD(nesterov=True): W are the weights after the look ahead of the original.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.nesterov_sgd.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    g = G + weight_decay * W
    m = nd.momentum(g, momentum, normalized=False)
    return W - lr * (g + momentum * m)


@nd.optimizer
def qhm(lr: nd.NonNegative = 1.0, beta: nd.Fraction = 0.999, nu: nd.Fraction = 0.7):
    """Quasi-hyperbolic momentum: the gradient and a slow average of it, joined.

    m ← β m + (1 − β) G,   W ← W − lr ((1 − ν) G + ν m) (Ma and Yarats, 2018, arXiv:1810.06801).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.qhm.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, beta)
    return W - lr * ((1 - nu) * G + nu * m)


@nd.optimizer
def accelerated_sgd(
    lr: nd.NonNegative = 1e-3,
    kappa: nd.Positive = 1000.0,
    xi: nd.Positive = 10.0,
    small: nd.Positive = 0.7,
):
    """Accelerated SGD: short steps, drawn to a second sequence that takes long ones.

    x ← (1 − a) x + a (W − lr κ/c G) from W,   W ← z (W − lr G) + (1 − z) x, with a = c² ξ/κ, z =
    c/(c + a), c = small (Jain et al., 2017, arXiv:1704.08227; Kidambi et al., 2018,
    arXiv:1803.05591).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.accelerated_sgd.check("translation", witnesses=False).answer
        'invariant'
    """
    a = small**2 * xi / kappa
    x = nd.fix(lambda x: (1 - a) * x + a * (W - lr * kappa / small * G), W)
    z = small / (small + a)
    return z * (W - lr * G) + (1 - z) * x


@nd.optimizer
def optimistic_sgd(lr: nd.NonNegative = 1e-2):
    """Optimistic gradient descent: a step against the gradient, extrapolated by its change.

    W ← W − lr (2 G − G₋), G₋ the gradient before, 0 at first (Popov, 1980; Daskalakis et al., 2018,
    arXiv:1711.00141): the form of extragradient that needs one gradient a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.optimistic_sgd.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    last = nd.prev(G)
    return W - lr * (2 * G - last)
