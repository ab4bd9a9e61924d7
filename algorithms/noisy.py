"""Steps with declared noise: for privacy, or so that their lengths are random."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def dp_sgd(
    lr: nd.NonNegative = 0.1,
    limit: nd.Positive = 1.0,
    noise: nd.NonNegative = 1.0,
    examples: nd.Positive = 256.0,
):
    """SGD of a clipped gradient with normal noise as large as the limit: DP-SGD of a mini-batch.

    W ← W − lr (clip(G, C) + σ C ξ / b), of all layers, ξ normal, C, σ, b = limit, noise, examples
    (Abadi et al., 2016, arXiv:1607.00133; with a fixed limit arXiv:2507.23512). Private is only
    what clips the gradient of each example: `torch.func.vmap`, or opacus, gives a mean of such,
    which has to be no longer than C. The noise is a function of the seed, as every draw here, and
    no cryptographic one. Accounting is left to others.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.dp_sgd.check("orthogonal", witnesses=False).answer
        'invariant in law'
    """
    g = nd.clip(G, limit, over="layers")
    return W - lr * (g + noise * limit / examples * nd.normal_like(G))


@nd.optimizer
def random_scaling(lr: nd.NonNegative = 1e-2, beta: nd.Fraction = 0.9):
    """SGD with momentum, each step as long as an exponential random number says.

    Δ ← β Δ − lr G,   W ← W + s Δ, with one s for all layers, of the distribution Exp(1) (Zhang and
    Cutkosky, 2024, arXiv:2405.09742, with Δ ← β (Δ − η G), so that lr is β η): on average over s,
    the loss falls by what the slope along Δ says, whatever the loss is. s = −log u, with u from
    2⁻²⁴ on.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.random_scaling.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    step = nd.fix(lambda d: beta * d - lr * G, nd.zeros_like(G))
    return W - nd.log(nd.maximum(nd.uniform(over="layers"), 2**-24)) * step
