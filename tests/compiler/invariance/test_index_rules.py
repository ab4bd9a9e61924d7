"""The algebra of one index: each operation, where it is legal and where it is not."""

import pytest
import sympy

from normdsl.compiler.invariance import index_rules as i
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import ANY, FIXED, Index, index
from normdsl.expressions.matrix_classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    POSITIVE,
    SIGNED_PERMUTATION,
    SIGNS,
)

A, P = Index("A", GENERAL), Index("P", ORTHOGONAL)
PERM, SIGN, SIGNED = Index("p", PERMUTATION), Index("s", SIGNS), Index("B", SIGNED_PERMUTATION)
p = sympy.Symbol("p", positive=True)


def scaled(power):
    return index("S", POSITIVE, sympy.sympify(power))


def test_sums_need_equal_indices():
    assert i.same(A, A, False, False) == (A, frozenset())
    assert i.same(ANY, A, False, False)[0] == A
    assert i.same(scaled(2 * p), scaled(1), False, False)[1] == {sympy.Eq(p, sympy.Rational(1, 2))}
    for x, y in ((A, A.dual), (scaled(1), scaled(2)), (P, FIXED), (scaled(1), FIXED)):
        with pytest.raises(Refusal):
            i.same(x, y, False, False)


def test_a_number_spreads_over_permuted_indices_only():
    assert i.same(FIXED, PERM, True, False)[0] == PERM
    for moving in (P, SIGN, scaled(1)):
        with pytest.raises(Refusal, match="joins a number"):
            i.same(FIXED, moving, True, False)


def test_entrywise_functions_multiply_exponents_and_mind_signs():
    assert i.entrywise(scaled(-2), sympy.Rational(1, 2), False, False) == scaled(-1)
    assert i.entrywise(scaled(3), sympy.Integer(0), True, False) == FIXED
    assert i.entrywise(SIGN, None, True, False) == SIGN
    assert i.entrywise(SIGN, None, False, True) == FIXED
    assert i.entrywise(SIGNED, None, False, True) == Index("B", PERMUTATION)
    assert i.entrywise(PERM, None, False, False) == PERM
    for bad in (A, P, scaled(1), SIGN):
        with pytest.raises(Refusal):
            i.entrywise(bad, None, False, False)


def test_products_add_exponents_and_cancel_signs():
    assert i.product(scaled(1), scaled(-3), False, False) == scaled(-2)
    assert i.product(scaled(1), scaled(-1), False, False) == FIXED
    assert i.product(scaled(2), FIXED, False, False) == scaled(2)
    assert i.product(SIGN, SIGN, False, False) == FIXED
    assert i.product(SIGN, FIXED, False, False) == SIGN
    assert i.product(SIGNED, SIGNED, False, False) == Index("B", PERMUTATION)
    assert i.product(SIGNED, Index("B", PERMUTATION), False, False) == SIGNED
    assert i.product(P, FIXED, False, True) == P
    for x, y in ((A, A), (P, P), (PERM, SIGN), (PERM, FIXED)):
        with pytest.raises(Refusal):
            i.product(x, y, False, False)


def test_contractions_join_an_index_with_its_dual():
    assert i.contract(A, A.dual) == frozenset()
    assert i.contract(P, P) == frozenset()
    assert i.contract(scaled(p), scaled(-1)) == {sympy.Eq(p, 1)}
    with pytest.raises(Refusal, match="two covariant indices of A"):
        i.contract(A.dual, A.dual)
    with pytest.raises(Refusal, match="two contravariant"):
        i.contract(A, A)
    for x, y in ((A, P), (P, FIXED), (SIGNED, Index("B", PERMUTATION))):
        with pytest.raises(Refusal):
            i.contract(x, y)


def test_within_a_class_or_as_the_power_zero():
    assert i.within(P, ORTHOGONAL, "it") == (P, frozenset())
    assert i.within(PERM, ORTHOGONAL, "it") == (PERM, frozenset())
    assert i.within(scaled(2 * p - 1), ORTHOGONAL, "it") == (
        FIXED,
        {sympy.Eq(p, sympy.Rational(1, 2))},
    )
    for bad in (A, scaled(1)):
        with pytest.raises(Refusal, match="it changes"):
            i.within(bad, ORTHOGONAL, "it")
