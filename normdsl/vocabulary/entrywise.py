"""Functions of entries, by the names that users write; each builds one node."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from normdsl.errors import DeclarationError, kind
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes import Condition
from normdsl.expressions.nodes.arithmetic import power as _power
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.nodes.entrywise import absolute


def sqrt(x: Any) -> Expr:
    """Return √x entry by entry.

    Raises:
        DomainError: if x is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sqrt(nd.G * nd.G))
        √(G²)
        >>> print(nd.sqrt(nd.ema(nd.G * nd.G, 0.9)))
        √fix(9/10 s_old + 1/10 G²)
    """
    return _power(as_expr(x), Constant(Fraction(1, 2)))


def abs(x: Any) -> Expr:
    """Return |x| entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sign(nd.G) * nd.abs(nd.G))
        sign(G) ∘ abs(G)
    """
    return absolute(as_expr(x))


def sign(x: Any) -> Expr:
    """Return the sign of x entry by entry, 0 at 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.W - 0.1 * nd.sign(nd.G))
        W − 1/10 sign(G)
    """
    return nodes.Apply(nodes.SIGN, as_expr(x))


def reciprocal(x: Any) -> Expr:
    """Return the pseudo-inverse of each entry: 1/x, and 0 where x = 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.G * nd.reciprocal(nd.frobenius.value(nd.G)))
        G ‖G‖_F^+
    """
    return simplest(nodes.Apply(nodes.RECIPROCAL, as_expr(x)))


def exp(x: Any) -> Expr:
    """Return e^x entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.exp(-nd.t))
        exp(−t)
    """
    return nodes.Apply(nodes.EXP, as_expr(x))


def log(x: Any) -> Expr:
    """Return the natural logarithm entry by entry, of a stream known to be ≥ 0.

    Raises:
        DomainError: if x is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.log(1 + nd.abs(nd.G)))
        log(1 + abs(G))
    """
    return nodes.Apply(nodes.LOG, as_expr(x))


def cos(x: Any) -> Expr:
    """Return the cosine entry by entry.

    Example:
        >>> import math, normdsl as nd
        >>> print(nd.cos(math.pi * nd.t))
        cos(π t)
    """
    return nodes.Apply(nodes.COS, as_expr(x))


def tanh(x: Any) -> Expr:
    """Return the hyperbolic tangent entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.W - 0.1 * nd.tanh(nd.G))
        W − 1/10 tanh(G)
    """
    return nodes.Apply(nodes.TANH, as_expr(x))


def maximum(x: Any, y: Any) -> Expr:
    """Return the larger of the two, entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.maximum(nd.abs(nd.G), 1))
        max(abs(G), 1)
    """
    return simplest(nodes.Maximum(as_expr(x), as_expr(y)))


def minimum(x: Any, y: Any) -> Expr:
    """Return the smaller of the two, entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.minimum(1, nd.t / 100))
        min(1, 0.01 t)
    """
    # By the maximum, so that one node and one rule of each pass serve both.
    return -nodes.Maximum(-as_expr(x), -as_expr(y))


def clamp(x: Any, low: Any, high: Any) -> Expr:
    """Return x with every entry below `low` raised to it, and every entry above `high` lowered.

    Example:
        >>> import normdsl as nd
        >>> print(nd.clamp(nd.G, -1, 1))
        min(1, max(−1, G))
    """
    return minimum(high, maximum(low, x))


def mod(x: Any, y: Any) -> Expr:
    """Return the remainder x − y ⌊x/y⌋ entry by entry, from 0 on and below y; 0 where y = 0.

    Raises:
        DomainError: if y is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.mod(nd.t, 10))
        mod(t, 10)
    """
    return nodes.Remainder(as_expr(x), as_expr(y))


def where(condition: Any, yes: Any, no: Any) -> Expr:
    """Return `yes` where a comparison holds and `no` elsewhere, entry by entry, or of scalars.

    Where both sides of a comparison move alike, by a positive factor, it holds in both of two runs
    or in none. So lengths may be compared with lengths, and what keeps its sign with 0.

    Args:
        condition: x < y, x <= y, x > y or x >= y, of expressions; of numbers, True or False.
        yes, no: what is chosen; both are computed.

    Raises:
        DeclarationError: if the condition is not one.
        ShapeError: if the shapes do not fit.

    Example:
        >>> import normdsl as nd
        >>> print(nd.where(nd.abs(nd.G) > 0.1, nd.G, 0))
        where(abs(G) > 1/10, G, 0)
        >>> print(nd.where(nd.t < 100, nd.t / 100, 1))
        where(t < 100, 0.01 t, 1)
    """
    if isinstance(condition, bool):
        return as_expr(yes if condition else no)
    if not isinstance(condition, Condition):
        expression = isinstance(condition, Expr)
        raise DeclarationError(
            f"choose by {'an expression' if expression else kind(condition)}",
            at=condition if expression else None,
            why="a choice is made by a comparison, which holds or does not at each entry",
            hint="write nd.where(x > 0, a, b), or with <, <= or >=",
        )
    sides = (condition.left, condition.right, as_expr(yes), as_expr(no))
    return simplest(nodes.Where(condition.relation, *sides))
