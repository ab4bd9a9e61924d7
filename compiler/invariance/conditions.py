"""What a verdict depends on: equations on hyper-parameters, and named assumptions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs
import sympy

from normdsl import expr as e
from normdsl.expr import Constant, Expr
from normdsl.nodes import Param, Source, Stream
from normdsl.show.symbols import unicode_symbol
from normdsl.show.text import text


class Kind(enum.Enum):
    """A property of a run that no hyper-parameter decides."""

    TRANSPORTED = "{} starts transformed along with the weights"
    FULL_RANK = "{} has full rank"
    DISTINCT = "{} has distinct eigenvalues"


@attrs.frozen
class Assumption:
    """A named assumption on an expression."""

    kind: Kind
    of: Expr


Condition: TypeAlias = Any  # an equation (sympy.Basic, untyped) or an Assumption
Conditions = frozenset[Condition]
NONE: Conditions = frozenset()


def symbol(name: str) -> sympy.Symbol:
    """Return the sympy symbol of a hyper-parameter."""
    return sympy.Symbol(name, real=True)


def is_zero(name: str) -> sympy.Basic:
    """Return the condition that a hyper-parameter is 0."""
    return sympy.Eq(symbol(name), 0)


def equal(first: sympy.Expr | None, second: sympy.Expr | None) -> Conditions | None:
    """Return the conditions under which two exponents agree; None if they never do.

    An exponent None belongs to a value that is zero, and agrees with every other.
    """
    if first is None or second is None or first == second:
        return NONE
    gap = sympy.expand(first - second)
    if gap == 0:
        return NONE
    symbols = sorted(gap.free_symbols, key=str)
    if not symbols:
        return None
    if len(symbols) == 1:
        roots = sympy.solve(gap, symbols[0])
        return frozenset({sympy.Eq(symbols[0], roots[0])}) if len(roots) == 1 else None
    return frozenset({sympy.Eq(gap, 0)})


def consistent(conditions: Iterable[Condition]) -> bool:
    """Return whether the equations among the conditions have a common solution."""
    equations = [c for c in conditions if isinstance(c, sympy.Equality)]
    if len(equations) < 2:
        return True
    return bool(sympy.solve(equations, dict=True))


def to_sympy(expr: Expr) -> sympy.Expr | None:
    """Return a scalar of numbers and hyper-parameters in sympy; None if it reads a stream."""
    match expr:
        case Constant(value=value):
            return sympy.Rational(value.numerator, value.denominator)
        case Param(name=name):
            return symbol(name)
        case Stream(source=Source.ROWS | Source.COLS):
            return symbol(expr.source.value)
        case e.Add(left=x, right=y) | e.Mul(left=x, right=y):
            a, b = to_sympy(x), to_sympy(y)
            if a is None or b is None:
                return None
            return a + b if isinstance(expr, e.Add) else a * b
        case e.Pow(base=x, exponent=p):
            a, b = to_sympy(x), to_sympy(p)
            return None if a is None or b is None else a**b
        case _:
            return None


def unknown(name: str) -> sympy.Symbol:
    """Return the symbol of an exponent to be solved for."""
    return sympy.Dummy(name, real=True)


def on_unknowns(condition: Condition) -> bool:
    """Return whether a condition is an equation for unknown exponents."""
    return isinstance(condition, sympy.Equality) and condition.has(sympy.Dummy)


def show(conditions: Iterable[Condition], names: Mapping[Expr, str]) -> str:
    """Return conditions as a phrase: equations first, then one clause per kind of assumption."""
    listed = list(conditions)
    assumed = [c for c in listed if isinstance(c, Assumption)]
    clauses = sorted(_equation(c) for c in listed if not isinstance(c, Assumption))
    for kind in Kind:
        about = sorted({text(c.of, names) for c in assumed if c.kind is kind})
        if about:
            clauses.append(_plural(kind.value, about))
    return ", ".join(clauses[:-1]) + (" and " if clauses[1:] else "") + clauses[-1]


def _plural(sentence: str, about: list[str]) -> str:
    if len(about) == 1:
        return sentence.format(about[0])
    verbs = {" has ": " have ", " starts ": " start "}
    for one, many in verbs.items():
        sentence = sentence.replace(one, many)
    return sentence.format(", ".join(about[:-1]) + " and " + about[-1])


def _equation(condition: sympy.Basic) -> str:
    left, right = (str(side) for side in condition.args)
    return f"{unicode_symbol(left)} = {right}" if left.isidentifier() else f"{left} = {right}"
