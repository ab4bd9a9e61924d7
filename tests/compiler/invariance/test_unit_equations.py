"""Exponents: agreement, conditions, domains, elimination of unknowns."""

import pytest
import sympy

from normdsl.compiler.invariance import unit_equations as x
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE, POSITIVE, REAL
from normdsl.expressions.nodes import Param

HALF = sympy.Rational(1, 2)


def symbols(domain, names="pq"):
    return [x.symbol(Param(name, domain)) for name in names]


def test_numbers_agree_or_do_not():
    assert x.equal(HALF, HALF) == frozenset()
    assert x.equal(HALF, sympy.Integer(1)) is None
    assert x.equal(None, HALF) == frozenset()


def test_one_symbol_is_solved_for():
    (p,) = symbols(POSITIVE, "p")
    assert x.equal(2 * p, sympy.Integer(1)) == {sympy.Eq(p, HALF)}
    assert x.equal(p * p, sympy.Integer(1)) == {sympy.Eq(p, 1)}


@pytest.mark.parametrize("domain", [POSITIVE, NON_NEGATIVE, FRACTION])
def test_signs_exclude_solutions(domain):
    p, q = symbols(domain)
    assert x.equal(p, sympy.Integer(-1)) is None
    assert x.equal(p + q, sympy.Integer(-2)) is None
    assert x.equal(p * p + q * q, sympy.Integer(-1)) is None


def test_a_real_symbol_may_have_several_solutions():
    (p,) = symbols(REAL, "p")
    assert x.equal(p * p, sympy.Integer(1)) == {sympy.Eq(p**2 - 1, 0)}


def test_opposite_gaps_are_one_condition():
    p, q = symbols(POSITIVE)
    assert x.equal(p * q, HALF) == x.equal(HALF, p * q)


def test_conditions_may_contradict():
    (p,) = symbols(POSITIVE, "p")
    assert x.consistent({sympy.Eq(p, 1)})
    assert not x.consistent({sympy.Eq(p, 1), sympy.Eq(p, 2)})


def test_unknowns_are_eliminated_and_the_rest_is_kept():
    (p,) = symbols(POSITIVE, "p")
    u, v = x.unknown("u"), x.unknown("v")
    assert x.without_unknowns(frozenset({sympy.Eq(u, 3)})) == (frozenset(), {u: 3})
    chained = frozenset({sympy.Eq(u, p), sympy.Eq(u, HALF)})
    kept, chosen = x.without_unknowns(chained)
    assert kept == {sympy.Eq(p, HALF)}
    assert chosen[u] in (p, HALF)
    impossible = frozenset({sympy.Eq(u, v), sympy.Eq(u, 1), sympy.Eq(v, 2)})
    assert x.without_unknowns(impossible) is None
