"""Typing rules of entrywise operations: sums, products, powers and functions of single entries."""

from __future__ import annotations

import attrs
import sympy

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.coefficients import coefficient, tidy
from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import (
    ANY,
    ANYTHING,
    INVARIANT,
    ZERO,
    Index,
    Law,
    moved,
    scaled,
    words,
)
from normdsl.compiler.invariance.rules.base import Laws, Outcome, rule, unshifted
from normdsl.compiler.invariance.unit_equations import equal
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.shapes import SCALAR, Dim, Shape


@rule.register
def _add(node: n.Add, laws: Laws, group: Group) -> list[Outcome]:
    if node.right.negated == node.left or node.left.negated == node.right:
        return [Outcome(ANYTHING, "x − x is zero")]
    law, conditions = _joined(node.left, node.right, laws)
    shift = tidy(laws[0].offset + laws[1].offset)
    return [Outcome(attrs.evolve(law, offset=shift), "a sum of terms that move alike", conditions)]


@rule.register
def _maximum(node: nodes.Maximum, laws: Laws, group: Group) -> list[Outcome]:
    law, conditions = _compared(node.left, node.right, laws)
    law = attrs.evolve(law, offset=laws[0].offset)
    return [Outcome(law, "a maximum of terms that move alike", conditions)]


@rule.register
def _remainder(node: nodes.Remainder, laws: Laws, group: Group) -> list[Outcome]:
    """Type x mod y: (c x) mod (c y) = c (x mod y) for c > 0."""
    law, conditions = _compared(node.left, node.right, laws)
    return [Outcome(law, "a remainder of terms that move alike", conditions)]


@rule.register
def _where(node: nodes.Where, laws: Laws, group: Group) -> list[Outcome]:
    """Type a choice: x < y is the same where both move alike, and is permuted along with them."""
    compared, one = _compared(node.left, node.right, laws[:2])
    law, two = _joined(node.yes, node.no, laws[2:])
    shifted = equal(laws[2].offset, laws[3].offset)
    if shifted is None:
        raise Refusal("it chooses between two terms that are shifted differently")
    conditions = one | two | shifted
    if law == ANYTHING:
        return [Outcome(ANYTHING, "a choice of two zeros", conditions)]
    if compared != ANYTHING:  # of two zeros, which compare alike everywhere
        rows, cols, entries = _spread(node.compared, node.chosen)
        law = Law(
            _chosen((compared.rows, law.rows), rows),
            _chosen((compared.cols, law.cols), cols),
            _chosen((compared.entries, law.entries), entries),
            law.unit,
        )
    law = attrs.evolve(law, offset=laws[2].offset)
    return [Outcome(law, "a choice by a comparison of terms that move alike", conditions)]


def _chosen(pair: tuple[Index, Index], spread: tuple[bool, bool]) -> Index:
    """Return the index of what is chosen by a condition, given the indices of both."""
    condition = pair[0] if pair[0] is ANY else index_rules.unsigned(pair[0])
    try:
        return index_rules.product(condition, pair[1], *spread)
    except Refusal:
        found = f"{words(condition)}, and what it chooses from is {words(pair[1])}"
        raise Refusal(f"its condition is {found}") from None


def _compared(left: Expr, right: Expr, laws: Laws) -> tuple[Law, Conditions]:
    """Return the common law of two terms that are compared entry by entry, without their shift."""
    law, conditions = _joined(left, right, laws)
    for ix in (law.rows, law.cols, law.entries):
        if ix is not ANY and (not ix.cls.monomial or ix.cls.signed):
            raise Refusal(f"it compares entries, but its arguments are {words(ix)}")
    shifted = equal(laws[0].offset, laws[1].offset)
    if shifted is None:
        raise Refusal("it compares two terms that are shifted differently")
    return law, conditions | shifted


def _joined(left: Expr, right: Expr, laws: Laws) -> tuple[Law, Conditions]:
    """Return the common law of two terms that are joined entry by entry."""
    x, y = laws
    if ANYTHING in (x, y):
        return (y if x == ANYTHING else x), NONE
    spread = _spread(left.shape, right.shape)
    rows, one = index_rules.same(x.rows, y.rows, *spread[0])
    cols, two = index_rules.same(x.cols, y.cols, *spread[1])
    entries, three = index_rules.same(x.entries, y.entries, *spread[2])
    four = equal(x.unit, y.unit)
    if four is None:
        raise Refusal(f"it joins a term that is {scaled(x)} with one that is {scaled(y)}")
    unit = y.unit if x.unit is None or x.unit.free_symbols else x.unit
    return Law(rows, cols, entries, unit), one | two | three | four


def _spread(x: Shape, y: Shape) -> list[tuple[bool, bool]]:
    """Return, for rows, columns and entries, which of two shapes is broadcast along it."""
    pairs = [(x.rows, y.rows), (x.cols, y.cols)]
    axes = [
        (a is Dim.ONE and b is not Dim.ONE, b is Dim.ONE and a is not Dim.ONE) for a, b in pairs
    ]
    scalar = (x == SCALAR != y, y == SCALAR != x)
    return [*axes, scalar]


@rule.register
def _mul(node: n.Mul, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    spread = _spread(node.left.shape, node.right.shape)
    rows = index_rules.product(x.rows, y.rows, *spread[0])
    cols = index_rules.product(x.cols, y.cols, *spread[1])
    entries = index_rules.product(x.entries, y.entries, *spread[2])
    unit = None if x.unit is None or y.unit is None else tidy(x.unit + y.unit)
    scalar = SCALAR in (node.left.shape, node.right.shape)
    why = "a multiple by a number" if scalar else "a product adds exponents"
    shift, conditions = _shift_of_product(node, x, y)
    return [Outcome(Law(rows, cols, entries, unit, shift), why, conditions)]


def _shift_of_product(node: n.Mul, x: Law, y: Law) -> tuple[sympy.Expr, Conditions]:
    """Return the shift of a product: only a multiple by a number carries one over.

    Of c x with x = x̃ + o T, it is c o T, with the c of the original run.
    """
    if x.offset == y.offset == ZERO:
        return ZERO, NONE
    for factor, own, other in ((node.left, x, y), (node.right, y, x)):
        if factor.shape == SCALAR and own.offset == ZERO:
            return tidy(coefficient(factor) * other.offset), NONE
    _, one = unshifted(x, "a product")
    _, two = unshifted(y, "a product")
    return ZERO, one | two


@rule.register
def _pow(node: n.Pow, laws: Laws, group: Group) -> list[Outcome]:
    base, exponent = laws
    if exponent not in (INVARIANT, ANYTHING):
        raise Refusal(f"the exponent itself moves: it is {moved(exponent)}")
    if base == INVARIANT:
        return [Outcome(INVARIANT, "a function of what does not move")]
    if base == ANYTHING:
        return [_at_zero(vanishes=_positive(node.exponent), what="a power")]
    p = coefficient(node.exponent)
    odd, even = p.is_odd is True, p.is_even is True
    return [Outcome(_entrywise(base, p, odd, even), f"a power multiplies exponents by {p}")]


@rule.register
def _apply(node: nodes.Apply, laws: Laws, group: Group) -> list[Outcome]:
    f = node.function
    degree = None if f.degree is None else sympy.Integer(f.degree)
    if laws[0] == ANYTHING:
        return [_at_zero(vanishes=f.odd or f == nodes.ABS, what=f.name)]
    law = _entrywise(laws[0], degree, f.odd, f.even)
    why = f"{f.name} is {'odd' if f.odd else 'even' if f.even else 'neither odd nor even'}"
    return [Outcome(law, why + ("" if degree is None else f", of degree {degree}"))]


def _at_zero(vanishes: bool, what: str) -> Outcome:
    """Return what is known of a function of an array of zeros: zeros, or equal entries."""
    if vanishes:
        return Outcome(ANYTHING, f"{what} of zero is zero")
    return Outcome(INVARIANT, f"{what} of zero is a constant array")


def _positive(exponent: Expr) -> bool:
    """Return whether an exponent is known to be above zero."""
    return bool(coefficient(exponent).is_positive)


def _entrywise(x: Law, degree: sympy.Expr | None, odd: bool, even: bool) -> Law:
    """Return the law of f(x) for a function applied entry by entry."""
    rows, cols, entries = (
        index_rules.entrywise(ix, degree, odd, even) for ix in (x.rows, x.cols, x.entries)
    )
    if x.unit is None or x.unit == 0:
        return Law(rows, cols, entries, x.unit)
    if degree is None:
        raise Refusal(f"the function is not homogeneous, and its argument is {scaled(x)}")
    return Law(rows, cols, entries, tidy(x.unit * degree))
