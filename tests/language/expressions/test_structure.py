"""Generic traversal, copies and fingerprints of frozen values."""

from fractions import Fraction

import attrs
import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.expr import Expr, assure
from normdsl.expressions.facts import NONNEGATIVE, Facts
from normdsl.expressions.nodes import Eye
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import Dim
from normdsl.expressions.structure import content_fields, fingerprint, parts, rebuild
from normdsl.norms.maps import Compose, Hadamard, Left


@attrs.frozen
class Box:
    one: object
    two: object = None


@attrs.frozen
class Crate:
    one: object
    two: object = None


def test_notes_and_inferred_fields_are_no_content():
    assert content_fields(Constant) == ("value", "dims")
    assert content_fields(type(G * W)) == ("left", "right")


def test_parts_come_in_order_with_repetition():
    assert list(parts(G + W, Expr)) == [G, W]
    assert list(parts(G + G, Expr)) == [G, G]
    assert list(parts(G, Expr)) == []


def test_parts_are_found_inside_other_values():
    left, weights = G @ G.T, nd.abs(G)
    node = nd.preconditioned(nd.spectral, left=left, hadamard=weights).lmo(W)
    assert list(parts(node, Expr)) == [left, weights, W]
    assert list(parts(node, nd.Norm)) == [node.norm]


def test_parts_of_a_recursion_are_initial_values_then_bodies():
    state = nd.accumulate(G)
    assert list(parts(state, Expr)) == [*state.recursion.inits, *state.recursion.bodies]


def test_rebuild_replaces_in_every_place():
    node = nd.preconditioned(nd.spectral, left=G @ G.T).lmo(G)
    changed = rebuild(node, Expr, lambda x: W if x == G else x)
    assert changed == nd.preconditioned(nd.spectral, left=G @ G.T).lmo(W)
    assert changed.where == node.where


def test_rebuild_shares_what_did_not_change():
    node = (G + W) * G
    assert rebuild(node, Expr, lambda x: x) is node
    tuple_inside = Compose((Left(G @ G.T), Hadamard(W)))
    assert rebuild(tuple_inside, Expr, lambda x: x) is tuple_inside


def test_rebuild_hands_on_what_is_assured():
    known = assure(nd.inner(G, W), NONNEGATIVE)
    table = {known: nd.inner(W, G)}
    changed = rebuild(nd.sqrt(known), Expr, lambda x: table.get(x, x))
    assert changed.base == nd.inner(W, G)
    assert changed.base.facts.nonnegative


def test_rebuild_infers_anew():
    assert rebuild(-G, Expr, lambda x: nd.t if x == G else x).shape == nd.t.shape


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Box(1), Box(2)),
        (Box(1), Crate(1)),
        (Box(1), Box(1.0)),
        (Box(1), Box(True)),
        (Box(1), Box("1")),
        (Box(Fraction(1)), Box(1)),
        (Box(None), Box("None")),
        (Box((1, 2)), Box((2, 1))),
        (Box(((1,), 2)), Box((1, (2,)))),
        (Box((1,), 2), Box((1, 2))),
        (Box("a;str:b"), Box("a", "b")),
        (Box("a", "bc"), Box("ab", "c")),
        (Box(()), Box(None)),
        (Box(Dim.M), Box(Dim.N)),
        (Box(Dim.ONE), Box("1")),
        (Box(0.5), Box(0.25)),
        (Box(Box(1), 2), Box(Box(1, 2))),
        (Facts(low=0.0), Facts(high=0.0)),
        (Eye(Dim.M), Eye(Dim.N)),
    ],
)
def test_different_values_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_equal_values_have_equal_fingerprints():
    assert fingerprint(Box((1, "a", Dim.M))) == fingerprint(Box((1, "a", Dim.M)))
    assert fingerprint(G * W) == fingerprint(G * W) == (G * W).fingerprint


@pytest.mark.parametrize("value", [[1], {}, b"x", object(), lambda: 0, {1}])
def test_values_that_are_no_data_are_refused(value):
    with pytest.raises(TypeError, match="cannot be part of a declaration"):
        fingerprint(Box(value))
