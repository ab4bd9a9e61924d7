"""Steps: the next weights with a point beside them, and what the weights were at first."""

from __future__ import annotations

from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Returned
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import After, fix
from normdsl.expressions.shapes import MATRIX
from normdsl.expressions.streams import W


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
