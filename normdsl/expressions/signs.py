"""Signs of products: what they show of values, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable

from normdsl.expressions.expr import Expr
from normdsl.expressions.shapes import SCALAR
from normdsl.show.notation import Notation

_LONGEST = 16


def factors_of(expr: Expr) -> list[Expr]:
    """Return the factors of an entrywise product, in order; the rest of a long one stays one."""
    factors: list[Expr] = []
    left = [expr]
    while left:
        factor = left.pop()
        if factor.factors and len(factors) + len(left) < _LONGEST:
            left += reversed(factor.factors)
        else:
            factors.append(factor)
    return factors


def sign_of(factors: Iterable[Expr]) -> int:
    """Return 1 if no entry of a product can be negative, −1 if none can be positive, else 0.

    Each factor with a sign of its own, and each pair of factors with the same unknown sign, counts.
    """
    sign, open_signs = 1, set[Expr]()
    for factor in factors:
        base = factor.sign_like
        if base.facts.high <= 0 and not base.facts.nonnegative:
            sign = -sign
        elif not base.facts.nonnegative:
            open_signs ^= {base}
    return 0 if open_signs else sign


def signed(expr: Expr, n: Notation) -> tuple[bool, Expr]:
    """Return whether an expression is written with a minus, and what follows the sign.

    Two minus signs cancel, and one in a multiple comes to the front; a name is written as it is.
    """
    minus, size = False, expr
    while size not in n.names or size in n.inside:
        positive = size.negated
        positive = _negated_multiple(size, n) if positive is None else positive
        if positive is None:
            break
        minus, size = not minus, positive
    return minus, size


def _negated_multiple(expr: Expr, n: Notation) -> Expr | None:
    """Return c x of a multiple c (−x), otherwise None."""
    match expr.factors:
        case (c, y) if c.shape == SCALAR != y.shape and y.factors and y not in n.names:
            return None if y.negated is None else c * y.negated
    return None
