"""Which symmetric matrices are positive definite for certain, so that their inverses cancel."""

from __future__ import annotations

from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import MatrixPower, Param
from normdsl.expressions.shapes import SCALAR


def definite(s: Expr) -> bool:
    """Return whether S + c I with S ≥ 0 and c > 0, a positive multiple, or a power of such a one.

    What only starts as the identity is not: a state may be loaded with other values.
    """
    if s.is_identity:
        return True
    match s:
        case n.Add(left=x, right=y):
            return (definite(x) and y.facts.psd) or (x.facts.psd and definite(y))
        case n.Mul(left=c, right=x) if c.shape == SCALAR:
            return _positive(c) and definite(x)
        case MatrixPower(arg=x):
            return definite(x)
    return False


def _positive(c: Expr) -> bool:
    """Return whether a number is above 0 for certain."""
    open_end = isinstance(c, Param) and c.domain.low_open
    return c.facts.low > 0 or (open_end and c.facts.low >= 0)
