"""Dividing: whether finite values of a usual size may make infinite ones, as 1/x does at 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import LOG, Apply, Param, Pow
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.recursion import State
from normdsl.expressions.traversal import Rewriter, walk


class Divisors:
    """What a step divides by, or takes logarithms of, where it is not certain to stay apart from 0.

    Args:
        parts: all parts of the step.
    """

    def __init__(self, parts: Iterable[Expr]) -> None:
        self._divisors = tuple(dict.fromkeys(y for x in parts for y in _divisors(x)))
        found = (y for x in self._divisors for y in walk(x))
        self._params = tuple(dict.fromkeys(x for x in found if isinstance(x, Param)))
        self._known: dict[tuple[float, ...], bool] = {}

    def may_vanish(self, hyper: Mapping[str, Any]) -> bool:
        """Return whether any may be zero, with these hyper-parameters: ε > 0 keeps v + ε from it.

        What is a tensor is not read, and may have any value.
        """
        if not self._divisors:
            return False
        values = tuple(hyper[p.name] for p in self._params)
        if not all(isinstance(x, int | float) and isfinite(x) for x in values):
            return True
        if values not in self._known:
            table = dict(zip(self._params, map(_constant, values), strict=True))
            settled = map(_Settled(table), self._divisors)
            self._known[values] = not all(x.facts.low > 0 or x.facts.high < 0 for x in settled)
        return self._known[values]


class _Settled(Rewriter):
    """Replaces hyper-parameters by their values; what is known of states stays."""

    def _visit(self, expr: Expr) -> Expr:
        return expr if isinstance(expr, State) else super()._visit(expr)


def _divisors(x: Expr) -> Iterator[Expr]:
    """Yield what an operation divides by, or takes the logarithm of, if it may be zero."""
    match x:
        case Pow(base=base, exponent=p) if base.varies and not p.facts.nonnegative:
            divisor = base
        case Apply(function=function, arg=arg) if function == LOG:
            divisor = arg
        case _:
            return
    if not (divisor.facts.low > 0 or divisor.facts.high < 0):
        yield divisor


def _constant(value: float) -> Expr:
    return Constant(Fraction(value), where=None)
