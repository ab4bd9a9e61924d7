"""Natural gradients of an empirical Fisher matrix, of which a few gradients are kept."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


def solved(x, window, damping):
    """Return (λ I + Σ g gᵀ / k)⁻¹ x, adding one g of the window after the other."""

    def solve(x, first):
        if not first:
            return x / damping
        g, others = first[-1], first[:-1]
        u, known = solve(g, others), solve(x, others)
        return known - nd.inner(g, known) / (len(window) + nd.inner(g, u)) * u

    return solve(x, window)


@nd.optimizer
def mfac(lr: nd.NonNegative = 1e-3, damping: nd.Positive = 1e-3):
    """M-FAC of a short window: natural gradient descent by the last four gradients.

    F = λ I + (1/4) Σ g gᵀ over the last four gradients of a layer,   W ← W − lr F⁻¹ G, by Sherman
    and Morrison's formula for one g after the other (Frantar et al., 2021, arXiv:2107.03356). As in
    the code the window starts with zeros and holds the newest gradient; there it is 512 to 1024
    long, which takes a matrix of inner products, and of all layers.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.mfac.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    window = nd.recent(G, 4)
    return W - lr * solved(G, window[::-1], damping)
