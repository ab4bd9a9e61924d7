"""Linear functions of states: the sum of an average is the average of the sums."""

from __future__ import annotations

from collections.abc import Callable

from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import UNKNOWN
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import Carry, Recursion, State, free_carries
from normdsl.expressions.shapes import SCALAR


def carried_through(state: State, function: Callable[[Expr], Expr]) -> Expr | None:
    """Return f(s) as a state of its own, of s ← a s + b x and a linear f: f(s) ← a f(s) + b f(x).

    Args:
        state: s, the state of a recursion of one. function: f, linear, the same at every step.

    Returns:
        The state; None if the recursion is not of this kind.
    """
    recursion = state.recursion
    if len(recursion.inits) > 1:
        return None
    old = recursion.carry(0)
    start = function(recursion.inits[0])
    new = Carry(recursion.level, 0, start.shape, UNKNOWN)
    total: Expr | None = None
    for scalar, array in _terms(recursion.bodies[0], as_expr(1)):
        if old in free_carries(scalar) or (array != old and old in free_carries(array)):
            return None
        term = n.mul(scalar, new if array == old else function(array))
        total = term if total is None else n.add(total, term)
    assert total is not None, "a body has a term"
    image = Recursion((start,), (total,), recursion.level, (UNKNOWN,))
    return type(state)(image, 0)


def _terms(expr: Expr, scalar: Expr) -> list[tuple[Expr, Expr]]:
    """Return the terms of a sum, each as a scalar and an array."""
    match expr:
        case n.Add(left=x, right=y) if x.shape == y.shape:
            return _terms(x, scalar) + _terms(y, scalar)
        case n.Mul(left=c, right=x) if c.shape == SCALAR != x.shape:
            return _terms(x, n.mul(scalar, c))
        case n.Mul(left=x, right=c) if c.shape == SCALAR != x.shape:
            return _terms(x, n.mul(scalar, c))
        case _:
            return [(scalar, expr)]
