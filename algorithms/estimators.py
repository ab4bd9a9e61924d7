"""Momenta that correct for the way the weights went: by queries on the sample of the step."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t

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
    return W + lr * nd.over_layers(nd.frobenius, nd.lp(2)).lmo(m)


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
