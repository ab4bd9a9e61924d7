"""Exponents: numbers, hyper-parameters and unknowns; when two agree, and what follows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import sympy

from normdsl.compiler.invariance.coefficients import Varying, at_every_step, symbol
from normdsl.compiler.invariance.conditions import (
    NONE,
    Assumption,
    Condition,
    Conditions,
    Kind,
    coupled,
)
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import Constant

#: Where the scalar unit changes at every step: c of the step before, as a power of today's c.
OLD = sympy.Symbol("c₋₁/c", real=True)


def unknown(name: str) -> sympy.Symbol:
    """Return the symbol of an exponent to be solved for."""
    return sympy.Dummy(name, real=True)


def from_sympy(value: sympy.Expr, params: Iterable[Any]) -> Expr | None:
    """Return a rational number, or a sum or product of such and of hyper-parameters, as a scalar.

    Args:
        value: a coefficient. params: the hyper-parameters, with names and domains.

    Returns:
        None if it is something else.
    """
    known = {symbol(p): p for p in (Param(h.name, h.domain, where=None) for h in params)}
    if value in known:
        return known[value]
    if value.is_Rational:
        return Constant(Fraction(int(value.p), int(value.q)), where=None)
    if not (value.is_Add or value.is_Mul):
        return None
    parts = [from_sympy(x, params) for x in value.args]
    whole = [x for x in parts if x is not None]
    join = n.add if value.is_Add else n.mul
    return reduce(join, whole) if len(whole) == len(parts) else None


def is_zero(param: Param) -> Condition | None:
    """Return the condition that a hyper-parameter is 0, or tends to 0; None if it cannot.

    No length does.
    """
    if param.domain.length:
        return None
    if param.domain.contains(0):
        return sympy.Eq(symbol(param), 0)
    return Assumption(Kind.VANISHING, param) if param.domain.borders(0) else None


@lru_cache(maxsize=4096)
def equal(first: sympy.Expr | None, second: sympy.Expr | None) -> Conditions | None:
    """Return the conditions under which two exponents agree; None if they never do.

    An exponent None belongs to a value that is zero, and agrees with every other.
    """
    if first is None or second is None or first == second:
        return NONE
    gap = sympy.expand(first - second)
    if gap.is_zero:
        return NONE
    if gap.has(OLD, Varying):
        return _whatever_else(gap)
    if gap.is_nonzero or not gap.free_symbols:
        return None
    gap = -gap if gap.could_extract_minus_sign() else gap
    equation = sympy.Eq(gap, 0)
    if len(gap.free_symbols) == 1:
        (variable,) = gap.free_symbols
        roots = solutions([equation], [variable])
        if len(roots) == 1:
            equation = sympy.Eq(variable, roots[0][variable])
        elif not roots and gap.is_polynomial():
            return None
    if equation == sympy.true:
        return NONE
    return None if equation == sympy.false else frozenset({equation})


def _whatever_else(gap: sympy.Expr) -> Conditions | None:
    """Return the conditions under which an exponent is zero whatever t is, and c was before."""
    parts = apart(gap)
    if any(x.has(OLD, Varying) for x in parts):
        return None
    results = [equal(x, sympy.Integer(0)) for x in parts]
    if None in results:
        return None
    return NONE.union(*(r for r in results if r is not None))


def apart(gap: sympy.Expr) -> list[sympy.Expr]:
    """Return what must vanish for a gap to vanish at every step, whatever c was at those before."""
    return [x for part in _apart_in_the_past(gap) for x in at_every_step(part) or [part]]


def _apart_in_the_past(gap: sympy.Expr) -> list[sympy.Expr]:
    if not gap.has(OLD):
        return [gap]
    try:
        coefficients = sympy.Poly(sympy.fraction(sympy.together(gap))[0], OLD).all_coeffs()
    except sympy.PolynomialError:
        return [gap]
    return list(coefficients)


def solutions(
    equations: Iterable[Condition], unknowns: Iterable[sympy.Symbol] = ()
) -> list[dict[Any, Any]]:
    """Return the solutions of equations, for given symbols or for any; [] if none was found."""
    listed = frozenset(c for c in equations if c != sympy.true)
    if not listed:
        return [{}]
    return [] if sympy.false in listed else list(_solved(listed, tuple(unknowns)))


@lru_cache(maxsize=4096)
def _solved(
    equations: frozenset[Condition], unknowns: tuple[sympy.Symbol, ...]
) -> tuple[dict[Any, Any], ...]:
    try:
        return tuple(sympy.solve(sorted(equations, key=str), *unknowns, dict=True))
    except NotImplementedError:
        return ()


def on_unknowns(condition: Condition) -> bool:
    """Return whether a condition is an equation for unknown exponents."""
    return isinstance(condition, sympy.Basic) and condition.has(sympy.Dummy)


def consistent(conditions: Iterable[Condition]) -> bool:
    """Return whether the equations among the conditions have a common solution."""
    listed = list(conditions)
    if not listed:
        return True
    equations = [c for c in listed if isinstance(c, sympy.Basic)]
    if sympy.false in equations or not coupled(listed):
        return False
    return len(equations) < 2 or _hold_at_zero(frozenset(equations)) or bool(solutions(equations))


@lru_cache(maxsize=4096)
def _hold_at_zero(equations: frozenset[Condition]) -> bool:
    """Return whether all equations hold where all symbols are zero, which is soon tried."""
    zero = {symbol: 0 for c in equations for symbol in getattr(c, "free_symbols", ())}
    return not any(x.is_nonzero for x in zero) and all(
        isinstance(c, sympy.Equality) and c.subs(zero) == sympy.true for c in equations
    )


def without_unknowns(
    conditions: Conditions,
) -> tuple[Conditions, dict[sympy.Symbol, sympy.Expr]] | None:
    """Return conditions without unknown exponents, and what these are; None if they cannot be met.

    The unknowns are free, so each equation may be used to choose one of them.
    """
    chosen: dict[sympy.Symbol, sympy.Expr] = {}
    open_ones = [c for c in conditions if on_unknowns(c)]
    kept = conditions.difference(open_ones)
    while open_ones:
        equation = open_ones.pop()
        free = sorted(equation.atoms(sympy.Dummy), key=str)
        if free:
            values = solutions([equation], free[:1])
            if not values:
                return None
            open_ones = [c.subs(values[0]) for c in open_ones]
            chosen = {u: x.subs(values[0]) for u, x in chosen.items()} | values[0]
        elif equation != sympy.true:
            left = equal(*equation.args) if isinstance(equation, sympy.Equality) else None
            if left is None:
                return None
            kept |= left
    return kept, chosen
