"""What acts on entries in one column: products P ⊗ Q, their powers and classes."""

import attrs
import pytest
import sympy

from normdsl import G
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.laws import ANY, FIXED, Index, frame
from normdsl.compiler.invariance.stacking import Kronecker, acting, stacked, unstacked
from normdsl.expressions.matrix_classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    POSITIVE,
    SIGNED_PERMUTATION,
    SIGNS,
)
from normdsl.expressions.shapes import Dim

A, B = Index("A", GENERAL), Index("B", GENERAL)
P, Q = Index("P", ORTHOGONAL), Index("Q", ORTHOGONAL)
D, E = Index("D", POSITIVE), Index("E", POSITIVE)
S, PI = Index("S", SIGNS), Index("Π", PERMUTATION)


def to(ix, power):
    return attrs.evolve(ix, power=sympy.Rational(power))


@pytest.mark.parametrize(
    ("rows", "cols", "cls", "power"),
    [
        (A, B, GENERAL, 1),
        (A.dual, FIXED, GENERAL, -1),
        (FIXED, Q, ORTHOGONAL, 1),
        (P, Q, ORTHOGONAL, 1),
        (to(D, -2), to(E, -2), POSITIVE, -2),
        (to(D, 3), FIXED, POSITIVE, 3),
        (P, D.dual, GENERAL, -1),
        (S, PI, SIGNED_PERMUTATION, 1),
        (S, S, SIGNS, 1),
    ],
    ids=str,
)
def test_a_product_has_the_smallest_class_and_comes_apart_again(rows, cols, cls, power):
    found = stacked(rows, cols)
    assert (found.cls, found.power) == (cls, power)
    assert unstacked(found) == (rows, cols)


@pytest.mark.parametrize(
    ("rows", "cols"),
    [
        (A, B.dual),
        (to(D, 2), E),
        (P, to(D, 2)),
        (frame(G, "frame"), FIXED),
        (P, frame(G, "signs", SIGNS)),
    ],
    ids=str,
)
def test_what_is_no_power_of_one_product_has_no_form(rows, cols):
    assert stacked(rows, cols) is None


def test_what_is_open_or_fixed_stays_so():
    assert stacked(ANY, P) is ANY
    assert stacked(FIXED, FIXED) == FIXED
    assert unstacked(FIXED) == (FIXED, FIXED)
    assert unstacked(S) is None


def test_the_identity_of_all_entries_is_moved_as_entries_are():
    assert acting(g.scale.weights, Dim.MN) == g.scale.weights.entries
    assert acting(g.orthogonal.weights, Dim.MN).element == Kronecker(P, Q)
    assert acting(g.loss_scale.weights, Dim.MN) == FIXED
    assert str(acting(g.left_affine.weights, Dim.MN)) == "contra_(A⊗I)"
