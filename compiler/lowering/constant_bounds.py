"""Numbers of emitted code: what Python computes of constants and lengths, kept in bounds.

Constants and lengths of W become Python numbers. Whole ones have no largest value in Python, so
that 2 ** 10 ** 9 would take seconds and memory at every step before it is found to be too large,
and torch takes none above 2 ** 63.
"""

from __future__ import annotations

import math
from functools import lru_cache

from normdsl.errors import DeclarationError
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant

#: log₂ of the largest floating number, of the largest whole one of torch, and of lengths of W.
_MOST_BITS, _WHOLE_BITS, _LENGTH_BITS = 1024.0, 63.0, 31.0


def is_small(expr: Expr) -> bool:
    """Return whether a Python number, if it is whole, is one that torch takes.

    Raises:
        DeclarationError: if a constant is, or a whole number of lengths may be.
    """
    try:
        bits = _bits(expr)
    except OverflowError:
        bits = math.inf
    if bits > _MOST_BITS:
        raise DeclarationError(
            "lower a number to torch",
            at=expr,
            why="its magnitude is above 1.8e308, or may be for some lengths of W",
            hint="rescale the quantities of the rule",
        )
    return bits <= _WHOLE_BITS


@lru_cache(maxsize=1024)
def _bits(expr: Expr) -> float:
    """Return log₂ of a bound on |expr|: of constants its value, of lengths its largest one.

    0 bounds whatever Python computes in floating point, which overflows without taking time.
    """
    match expr:
        case Constant(value=v):
            whole = v.denominator == 1 or abs(v) > 1
            return math.log2(abs(v)) if v and whole else 0.0
        case nodes.Stream():
            return _LENGTH_BITS
        case n.Add(left=x, right=y):
            return 1 + max(_bits(x), _bits(y))
        case n.Mul(left=x, right=y):
            return _bits(x) + _bits(y)
        case n.Pow(base=x, exponent=Constant(value=p)):
            return _bits(x) * max(float(p), 0.0)
        case n.Pow(base=x):
            return _bits(x) * 2 ** _bits(expr.exponent)
        case _:
            return max(map(_bits, expr.children), default=0.0)
