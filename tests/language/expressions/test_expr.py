"""Expressions: equality, arithmetic, shapes, and what cannot be written."""

import copy
import pickle
from fractions import Fraction

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import evaluate, quickly, random_matrix, refuses, within

import normdsl as nd
from normdsl import G, W, t
from normdsl.errors import kind
from normdsl.expressions.expr import assure
from normdsl.expressions.facts import NONNEGATIVE
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow
from normdsl.expressions.nodes.constants import Constant, as_expr, exact
from normdsl.expressions.nodes.products import MatMul, Transpose
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, SCALAR, Dim, Shape

LR = Param("lr", nd.expressions.domains.NON_NEGATIVE)
P = Param("p", nd.expressions.domains.REAL)


# Equality


def test_equality_ignores_where_it_was_written():
    first = LR * G + W
    second = LR * G + W
    assert first.where != second.where
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (G + W, W + G),
        (G + W, G * W),
        (G * W, G),
        (LR * G, P * G),
        (Param("lr", nd.expressions.domains.REAL), LR),
        (G @ G.T, G.T @ G),
        (nd.zeros_like(G), nd.zeros_like(G @ G.T)),
        (as_expr(1), as_expr(2)),
        (nd.spectral.lmo(G), nd.frobenius.lmo(G)),
        (nd.spectral.lmo(G), nd.spectral.sharp(G)),
        (nd.ema(G, 0.9), nd.ema(G, 0.8)),
        (nd.sum(G), nd.max(G)),
        (nd.sum(G, over="rows"), nd.sum(G, over="cols")),
    ],
)
def test_different_structures_differ(one, other):
    assert one != other


def test_an_expression_equals_no_other_value():
    with refuses(nd.DeclarationError, "branch on whether"):
        _ = as_expr(1) != 1
    assert G != "G"
    assert None not in [G, W]


def test_expressions_are_immutable():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        (G + W).left = W


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_equal(copied):
    x = nd.ema(G * G, 0.9) + LR * nd.spectral.lmo(G)
    assert copied(x) == x
    assert hash(copied(x)) == hash(x)


# Arithmetic


@pytest.mark.parametrize(
    ("expr", "torchs"),
    [
        (G + W, lambda g, w: g + w),
        (G - W, lambda g, w: g - w),
        (2 - G, lambda g, w: 2 - g),
        (2 + G, lambda g, w: 2 + g),
        (G - 2, lambda g, w: g - 2),
        (G * W, lambda g, w: g * w),
        (3 * G, lambda g, w: 3 * g),
        (G / W, lambda g, w: g / w),
        (2 / G, lambda g, w: 2 / g),
        (G / 4, lambda g, w: g / 4),
        (G**3, lambda g, w: g**3),
        (nd.abs(G) ** 0.3, lambda g, w: g.abs() ** 0.3),
        (-G, lambda g, w: -g),
        (G @ W.T @ G, lambda g, w: g @ w.mT @ g),
        ((G @ W.T).T @ G, lambda g, w: (g @ w.mT).mT @ g),
        (G * 2**t, lambda g, w: 2 * g),
        (G + 1 / 3, lambda g, w: g + 1 / 3),
        (G * nd.sum(W, over="cols"), lambda g, w: g * w.sum(1, keepdim=True)),
        (G * nd.sum(W, over="rows"), lambda g, w: g * w.sum(0, keepdim=True)),
    ],
    ids=lambda x: str(x) if isinstance(x, nd.Expr) else "",
)
def test_arithmetic_is_torchs(expr, torchs):
    g, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    torch.testing.assert_close(evaluate(expr, g, w), torchs(g, w))


def test_nodes_of_the_operators():
    assert isinstance(G + W, Add)
    assert isinstance(G * W, Mul)
    assert isinstance(LR**2, Pow)
    assert isinstance(G @ G.T, MatMul)
    assert isinstance(G.T, Transpose)
    assert Add(G, Mul(as_expr(-1), W)) == (G - W)
    assert Mul(G, Pow(W, as_expr(-1))) == (G / W)


@pytest.mark.parametrize(
    ("expr", "folded"),
    [
        (G + 0, G),
        (0 + G, G),
        (G - 0, G),
        (1 * G, G),
        (G * 1, G),
        (G / 1, G),
        (G**1, G),
        (G * 0, nd.zeros_like(G)),
        (0 * G, nd.zeros_like(G)),
        (nd.zeros_like(G) * G, nd.zeros_like(G)),
        (G**0, nd.zeros_like(G) + 1),
        (as_expr(2) + 3, as_expr(5)),
        (as_expr(2) * 3, as_expr(6)),
        (as_expr(2) ** 3, as_expr(8)),
        (as_expr(2) ** -1, as_expr(Fraction(1, 2))),
        (as_expr(1) / 3, as_expr(Fraction(1, 3))),
        (G.T.T, G),
        (t.T, t),
        ((G @ G.T).T, G @ G.T),
        (nd.zeros_like(G).T, Constant(Fraction(0), MATRIX.transposed)),
    ],
)
def test_folding(expr, folded):
    assert expr == folded
    assert expr.shape == folded.shape


@pytest.mark.parametrize(
    ("expr", "shape"),
    [(t + nd.zeros_like(G), MATRIX), (t * nd.zeros_like(G), MATRIX), (nd.zeros_like(G) + 0, MATRIX),
     ((nd.zeros_like(G) + 1) * t, MATRIX), (0 * nd.sum(G, over="rows"), Shape(Dim.ONE, Dim.N))],
)  # fmt: skip
def test_folding_keeps_the_broadcast_shape(expr, shape):
    assert expr.shape == shape


def test_zero_to_a_negative_power_is_left_alone():
    assert isinstance(as_expr(0) ** -1, Pow)


# Shapes


@pytest.mark.parametrize(
    ("expr", "shape"),
    [
        (G + t, MATRIX),
        (t * G, MATRIX),
        (LR / t, SCALAR),
        (G.T, Shape(Dim.N, Dim.M)),
        (G @ G.T, LEFT),
        (G.T @ G, RIGHT),
        (G @ (G.T @ G), MATRIX),
        (nd.sum(G, over="cols") * G, MATRIX),
        (nd.sum(G, over="cols") * nd.sum(G, over="rows"), MATRIX),
        (nd.sum(G, over="cols") @ nd.sum(G, over="rows"), MATRIX),
        (nd.sum(G, over="rows") @ nd.sum(G, over="rows").T, SCALAR),
        ((G @ G.T) ** 2, LEFT),
    ],
)
def test_shapes(expr, shape):
    assert expr.shape == shape


@pytest.mark.parametrize(
    "build",
    [
        lambda: (2 * G) + G.T,
        lambda: G * (G @ G.T),
        lambda: (G @ G.T) + (G.T @ G),
        lambda: G - G.T,
        lambda: G / (G @ G.T),
        lambda: nd.sum(G, over="rows") + nd.sum(G, over="rows").T + G @ G.T,
        lambda: nd.sum(G, over="rows").T * nd.sum(G, over="cols").T + G,
    ],
)
def test_pointwise_shapes_that_do_not_agree_are_refused(build):
    with refuses(nd.ShapeError, "entry by entry", "test_expr.py", "try: use @"):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: G @ G,
        lambda: G @ t,
        lambda: LR @ G,
        lambda: G.T @ G.T,
        lambda: (G @ G.T) @ G.T,
        lambda: nd.sum(G) @ nd.sum(G),
        lambda: G @ 2,
    ],
)
def test_matrix_products_that_do_not_fit_are_refused(build):
    with refuses(nd.ShapeError, "matrix product of a", "test_expr.py", "transpose one with .T"):
        build()


@pytest.mark.parametrize("exponent", [2 * G, nd.zeros_like(G), nd.sum(G, over="rows")], ids=str)
def test_exponents_are_scalars(exponent):
    with refuses(nd.ShapeError, "to the power of a", "nd.matrix_power"):
        t**exponent


@pytest.mark.parametrize("p", [1 / 2, -0.3, P, t, 1 / t])
def test_real_powers_need_a_nonnegative_base(p):
    with refuses(nd.DomainError, "raise to the power"):
        (2 * G) ** p
    assert (nd.abs(G) ** p).facts.nonnegative


@pytest.mark.parametrize("p", [-3, -1, 2, 7, 100])
def test_whole_powers_do_not(p):
    assert ((2 * G) ** p).shape == MATRIX
    assert ((2 * G) ** p).facts.nonnegative == (p % 2 == 0)


# Numbers


@pytest.mark.parametrize(
    ("value", "fraction"),
    [
        (0.1, Fraction(1, 10)),
        (1 / 3, Fraction(1, 3)),
        (0.999, Fraction(999, 1000)),
        (1e-8, Fraction(1, 10**8)),
        (-2.5, Fraction(-5, 2)),
        (7, Fraction(7)),
        (Fraction(22, 7), Fraction(22, 7)),
        (-0.0, Fraction(0)),
    ],
)
def test_numbers_mean_what_they_say(value, fraction):
    assert exact(value) == fraction


@quickly
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_numbers_round_to_the_float_they_came_from(value):
    assert float(exact(value)) == value


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(value):
    with refuses(nd.DeclarationError, "not finite"):
        exact(value)
    with refuses(nd.DeclarationError, "not finite"):
        G + value


@pytest.mark.parametrize("value", [0.5, 1e-7, 0.123456789])
def test_numpy_numbers_are_numbers(value):
    assert np.float64(value) * G == G.__rmul__(value)
    assert as_expr(np.float64(value)) == as_expr(value)
    single = np.float32(value)
    assert single * G == float(single) * G
    assert G * single == G * float(single)
    assert as_expr(np.int64(3)) == as_expr(3)
    with refuses(nd.DeclarationError, "bool"):
        as_expr(np.bool_(True))


@pytest.mark.parametrize(
    "build",
    [
        lambda: as_expr(10**400) * G,
        lambda: as_expr(1e300) * 1e300,
        lambda: as_expr(1e300) ** 2,
        lambda: as_expr(1e-300) ** -2,
    ],
)
def test_numbers_beyond_floating_point_are_refused(build):
    with refuses(nd.DeclarationError):
        build()


# What cannot be written


@pytest.mark.parametrize("value", ["a", None, True, [1], 1j, (1, 2), {}, torch.ones(2), object()])
def test_other_values_are_refused(value):
    with refuses(nd.DeclarationError, f"use {kind(value)} in an expression"):
        as_expr(value)
    with refuses(nd.DeclarationError):
        G + value
    with refuses(nd.DeclarationError):
        value * G


def test_numpy_arrays_are_refused():
    with refuses(nd.DeclarationError):
        np.ones(2) * G


def test_branching_on_a_value_is_refused():
    with refuses(nd.DeclarationError, "branch on the value", "at:  2 G", "nd.maximum"):
        if 2 * G:
            pass


def test_iterating_is_refused():
    with refuses(nd.DeclarationError, "iterate over an expression", "at:  2 G"):
        list(2 * G)


@pytest.mark.parametrize(
    "compare", [lambda x: x < 0, lambda x: x <= 0, lambda x: x > 0, lambda x: x >= 0]
)
def test_branching_on_a_comparison_is_refused(compare):
    with refuses(nd.DeclarationError, "branch on a comparison", "at:  2 G", "nd.where(2 G", "max"):
        if compare(2 * G):
            pass


@pytest.mark.parametrize(
    "use",
    [lambda c: c * 2, lambda c: G + c, lambda c: c & c, lambda c: c < 1, lambda c: ~c, as_expr],
)
def test_a_comparison_is_no_number(use):
    with refuses(nd.DeclarationError, "at:  G < W", "nd.where"):
        use(G < W)


def test_indexing_is_refused():
    with refuses(nd.DeclarationError):
        (2 * G)[0]


# Large graphs


def test_building_shared_graphs_is_linear():
    """Forty sums share everything; a walk over all paths would never end."""
    x = G
    with within(2):
        for _ in range(40):
            x = x + x
    assert x.shape == MATRIX


def test_building_repeated_matrix_products_is_linear():
    x = G @ G.T
    with within(2):
        for _ in range(40):
            x = x @ x
    assert x.shape == LEFT


def test_shown():
    assert repr(2 * G) == "<Mul m×n: 2 G>"
    assert str(2 * G) == "2 G"
    assert (2 * G)._repr_latex_() == "$\\displaystyle 2\\, G$"


def test_values_of_other_classes_may_stand_for_expressions():
    class Twice:
        def __expr__(self):
            return 2 * G

    class Wrong:
        def __expr__(self):
            return "G"

    assert W + Twice() == W + 2 * G
    assert nd.abs(Twice()) == nd.abs(2 * G)
    with refuses(nd.DeclarationError, "str"):
        W + Wrong()
    with refuses(nd.DeclarationError, "type"):
        W + Twice


def test_what_is_assured_of_an_expression_is_known_of_it_and_of_no_other():
    known = assure(nd.inner(G, W), NONNEGATIVE)
    assert known == nd.inner(G, W)
    assert nd.sqrt(known).facts.nonnegative
    assert not nd.inner(G, W).facts.nonnegative
    assert assure(known, NONNEGATIVE) is known
