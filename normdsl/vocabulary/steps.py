"""Steps: next weights with a point beside them, drawn back to slow ones; the first weights."""

from __future__ import annotations

from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Returned
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import After, fix
from normdsl.expressions.shapes import MATRIX
from normdsl.expressions.streams import W
from normdsl.vocabulary.schedules import every


def step(weights: Any, *, evaluate: Any) -> Expr:
    """Return the next weights, and beside them the point at which the model is to be evaluated.

    `opt.eval()` puts the point in the place of the weights, `opt.train()` puts these back bit by
    bit. The point starts as the weights do. A rule is invariant if both move like W.

    Args:
        weights: the next weights. evaluate: the point x, m×n. If it is no state, the last one is
            kept as a state of its own.

    Raises:
        DeclarationError: if one of them is not m×n.

    Example:
        Schedule-free SGD (Defazio et al., 2024, arXiv:2405.15682): gradients are taken at W,
        between the iterate z and the average x.

        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def schedule_free(lr=1.0, beta: nd.Fraction = 0.9):
        ...     z = nd.accumulate(-lr * nd.G, nd.W)
        ...     x = nd.fix(lambda x: x + (z - x) / nd.t, nd.W)
        ...     return nd.step((1 - beta) * z + beta * x, evaluate=x)
        >>> schedule_free.check("orthogonal").answer
        'invariant'
    """
    point = as_expr(evaluate)
    if point.shape == MATRIX and not isinstance(point, After):
        point = fix(lambda _: point, W)
    return Returned(as_expr(weights), point)


def start(x: Any = W) -> Expr:
    """Return what x was before the first step: of W, the weights that training started from.

    Args:
        x: made of W, hyper-parameters and numbers.

    Raises:
        DeclarationError: if x has no value before the first step.

    Example:
        >>> import normdsl as nd
        >>> print(nd.frobenius.value(nd.W - nd.start()))  # the distance gone
        ‖W − fix(s_old)‖_F
    """
    first: Expr = fix(lambda s: s, as_expr(x))
    return first


def lookahead(weights: Any, k: Any = 5, alpha: Any = 0.5) -> Expr:
    """Return the next weights, drawn back at every k-th step to slow ones that follow them.

        s ← s + α (x − s),  x ← s,  every k steps, from s = W at first

    (Zhang et al., 2019, arXiv:1907.08610). Other states, as a momentum, go on from what they are.

    Args:
        weights: the next weights x of any rule. k: how many fast steps to a slow one.
        alpha: α, how far a slow step follows.

    Raises:
        DomainError: for a k that is not positive.

    Example:
        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def slow_lion(lr=1e-3, k: nd.Count = 5):
        ...     step = nd.sign(nd.momentum(nd.G, 0.99, readout=0.9))
        ...     return nd.lookahead(nd.W - lr * step, k)
        >>> slow_lion.check("permutations", witnesses=False).answer
        'invariant'
    """
    new = as_expr(weights)
    slow: Expr = fix(lambda s: every(k, s + alpha * (new - s), s), W)
    return every(k, slow, new)
