"""Which way a step goes: along the averaged gradient or against it, as far as its form shows."""

from __future__ import annotations

import enum

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Add, Joint, Source, Stream
from normdsl.expressions.recursion import After, Carry
from normdsl.expressions.signs import factors_of, sign_of
from normdsl.expressions.traversal import walk


class Way(enum.Enum):
    """Up the gradient, down, either (zero, or the last value of an average), or not known."""

    UP = 1
    DOWN = -1
    EITHER = 2
    UNKNOWN = 0

    def turned(self, sign: int) -> Way:
        """Return the way of a multiple, of which the sign of the factor is known, or 0."""
        if self in (Way.EITHER, Way.UNKNOWN):
            return self
        return Way(self.value * sign)

    def joined(self, other: Way) -> Way:
        """Return the way of a sum."""
        if self is Way.EITHER or self is other:
            return other
        return self if other is Way.EITHER else Way.UNKNOWN


def ascent(update: Expr) -> Expr | None:
    """Return the term of new weights that steps by a norm up the gradient, if there is one."""
    results = update.weights if isinstance(update, Joint) else (update,)
    terms = (x for result in results for x in _terms(result))
    return next((x for x in terms if _by_a_norm(x) and way(x) is Way.UP), None)


def way(x: Expr) -> Way:
    """Return which way an expression goes, by the slopes of LMOs and the signs of factors."""
    if isinstance(x, Stream):
        return Way.UP if x.source is Source.GRADIENT else Way.UNKNOWN
    if isinstance(x, Carry) or _zero(x):
        return Way.EITHER
    if isinstance(x, Add):
        return way(x.left).joined(way(x.right))
    if isinstance(x, After):
        bodies, inits = x.recursion.bodies, x.recursion.inits
        return way(bodies[x.index]) if len(bodies) == 1 and _zero(inits[0]) else Way.UNKNOWN
    if x.slope:
        return way(x.arg).turned(x.slope)
    return _of_product(x)


def _of_product(x: Expr) -> Way:
    factors = factors_of(x)
    if len(factors) < 2:
        return Way.UNKNOWN
    ways = [(f, way(f)) for f in factors if not f.facts.nonnegative]
    going = [(f, w) for f, w in ways if w is not Way.UNKNOWN]
    if len(going) != 1:
        return Way.UNKNOWN
    sign = sign_of(f for f in factors if f is not going[0][0])
    return going[0][1].turned(sign) if sign else Way.UNKNOWN


def _zero(x: Expr) -> bool:
    return x.facts.low == x.facts.high == 0


def _terms(x: Expr) -> list[Expr]:
    return [*_terms(x.left), *_terms(x.right)] if isinstance(x, Add) else [x]


def _by_a_norm(x: Expr) -> bool:
    return any(node.slope for node in walk(x))
