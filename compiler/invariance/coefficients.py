"""Coefficients: scalars that both runs share but that change from step to step, as symbols.

A weight such as 1 − 1/t, w / m or 1 / (1 + s) multiplies an unknown shift or exponent, so that laws
are expressions in hyper-parameters and in t, m, n and such scalars. What is claimed of a law then
has to hold whatever these are: an equation is split into one for each of their monomials, and only
hyper-parameters are left in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

import sympy

from normdsl.compiler.invariance.initial_values import FirstStep
from normdsl.compiler.invariance.normal_form import normal_form
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param, Stream
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.origins import NUMBERS, Origin
from normdsl.expressions.recursion import After, Before
from normdsl.expressions.streams import t
from normdsl.show.text import text

#: Coefficients of more operations than this are symbols as a whole, and laws are not compared.
_LARGEST = 200


class Varying(sympy.Symbol):  # type: ignore[misc]  # sympy has no types
    """The value that a scalar expression had in the original run some steps ago.

    Equal expressions have equal symbols, however they were written.
    """

    __slots__ = ("age", "expr")
    expr: Expr
    age: int

    def __new__(cls, expr: Expr, age: int = 0) -> Varying:
        """Return the symbol of a scalar `age` steps ago."""
        low = expr.facts.low
        sign = {"positive": True} if low > 0 else {"nonnegative": True} if low == 0 else {}
        whole = {"integer": True} if isinstance(expr, Stream) and low > 0 else {}
        name = f"{normal_form(expr).digest.hex()}.{age}"
        made: Varying = sympy.Symbol.__xnew__(cls, name, real=True, **sign, **whole)
        made.expr, made.age = expr, age
        return made

    @property
    def aged(self) -> sympy.Expr:
        """What it was a step ago: t − 1, the old state; a length does not change."""
        if self.expr == t:
            return self - 1
        if not _changes(self.expr):
            return self
        if self.age == 0 and isinstance(self.expr, After):
            return Varying(Before(self.expr.recursion, self.expr.index))
        return Varying(self.expr, self.age + 1)

    @property
    def first(self) -> sympy.Expr:
        """What it is at the first step, where that is known."""
        return self if self.age else coefficient(FirstStep()(self.expr))

    def _sympystr(self, printer: object) -> str:
        return self.show({})

    def show(self, names: Mapping[Expr, str]) -> str:
        """Return it as text, with the author's names for expressions."""
        formula = text(self.expr, names)
        return formula if self.age == 0 else f"[{formula}, {self.age} steps ago]"


def shown(x: sympy.Expr, names: Mapping[Expr, str]) -> str:
    """Return an exponent or a shift as text, with the author's names for expressions."""
    return str(x.xreplace({v: sympy.Symbol(v.show(names)) for v in x.atoms(Varying)}))


def _changes(expr: Expr) -> bool:
    """Return whether an expression may have another value at another step."""
    return not expr.origins.within(NUMBERS | Origin.LENGTHS)


@lru_cache(maxsize=1024)
def symbol(param: Param) -> sympy.Symbol:
    """Return the sympy symbol of a hyper-parameter, which knows the signs its domain allows."""
    low = param.domain.low
    positive = low > 0 or (low == 0 and param.domain.low_open)
    signs = {"positive": True} if positive else {"nonnegative": True} if low == 0 else {}
    return sympy.Symbol(param.name, real=True, **signs)


@lru_cache(maxsize=4096)
def coefficient(expr: Expr) -> sympy.Expr:
    """Return a scalar in sympy: over hyper-parameters, and symbols for all else that it reads."""
    match expr:
        case Constant(value=value):
            return sympy.Rational(value.numerator, value.denominator)
        case Param():
            return symbol(expr)
        case n.Add(left=x, right=y):
            found = coefficient(x) + coefficient(y)
        case n.Mul(left=x, right=y):
            found = coefficient(x) * coefficient(y)
        case n.Pow(base=x, exponent=p):
            found = coefficient(x) ** coefficient(p)
        case _:
            return Varying(expr)
    known = found.is_finite is not False and sympy.count_ops(found) <= _LARGEST
    return found if known else Varying(expr)


def aged(x: sympy.Expr | None) -> sympy.Expr | None:
    """Return what an exponent or a shift was a step ago."""
    if x is None or not x.has(Varying):
        return x
    return x.xreplace({v: v.aged for v in x.atoms(Varying)})


def begun(x: sympy.Expr | None) -> sympy.Expr | None:
    """Return what an exponent or a shift was before the first step, where that is known."""
    before = aged(x)
    if before is None or not before.has(Varying):
        return before
    return before.xreplace({v: v.first for v in before.atoms(Varying)})


def tidy(x: sympy.Expr) -> sympy.Expr:
    """Return an exponent or a shift multiplied out; fractions in coefficients that vary cancel."""
    if x.is_Number:
        return x
    x = sympy.expand(x)
    if not x.has(Varying) or sympy.count_ops(x) > _LARGEST:
        return x
    try:
        return sympy.expand(sympy.cancel(_apart_powers(x)))
    except (sympy.PolynomialError, NotImplementedError):
        return x


def closed(step: sympy.Expr, old: sympy.Symbol, start: sympy.Expr) -> sympy.Expr | None:
    """Return x_t of x_t = a x_{t−1} + b with x_0 = `start`: a^t x_0 + b (1 − a^t) / (1 − a).

    Args:
        step: a x + b. old: x. start: x_0.

    Returns:
        The value at step t; None if a or b are not the same at every step.
    """
    a = sympy.expand(step).coeff(old)
    b = sympy.expand(step - a * old)
    if any(part.has(Varying, sympy.Dummy) for part in (a, b)):
        return None
    now = coefficient(t)
    return tidy(start + b * now if a == 1 else a**now * start + b * (1 - a**now) / (1 - a))


def at_every_step(gap: sympy.Expr) -> list[sympy.Expr] | None:
    """Return what must vanish for a gap to vanish whatever its varying coefficients are.

    These are the factors of their monomials in the numerator; a hyper-parameter that divides is not
    multiplied by, since nothing vanishes where it does. Returns None for a gap too long.
    """
    if not gap.has(Varying):
        return [gap]
    if sympy.count_ops(gap) > 4 * _LARGEST:
        return None
    numerator, denominator = sympy.fraction(sympy.together(_apart_powers(gap)))
    divisor = denominator.as_independent(Varying, as_Add=False)[0]
    factors: dict[sympy.Expr, sympy.Expr] = defaultdict(lambda: sympy.Integer(0))
    for term in sympy.Add.make_args(sympy.expand(_apart_powers(sympy.expand(numerator)))):
        still, varying = term.as_independent(Varying, as_Add=False)
        factors[varying] += still
    return [sympy.expand(sympy.fraction(sympy.cancel(f / divisor))[0]) for f in factors.values()]


def _apart_powers(x: sympy.Expr) -> sympy.Expr:
    """Write β^(t − 1) as β^t / β, so that it is compared with β^t."""

    def shifted(p: sympy.Expr) -> bool:
        return bool(p.is_Pow and p.exp.has(Varying) and p.exp.as_coeff_Add()[0].is_Integer)

    def split(p: sympy.Expr) -> sympy.Expr:
        number, rest = p.exp.as_coeff_Add()
        return p.base**number * p.base**rest

    return x.replace(shifted, split)
