"""Facts: interval arithmetic and the cone of positive semidefinite matrices, checked on numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import evaluate, quickly, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE, REAL
from normdsl.expressions.facts import NONNEGATIVE, UNIT, UNKNOWN, Facts, real_power, square
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.traversal import replace

INF = math.inf
finite = st.floats(-100, 100).map(lambda x: round(x, 3))
ends = st.one_of(finite, st.sampled_from([-INF, INF, 0.0, 1.0, -1.0]))


@st.composite
def points(draw):
    """Return an interval and a number in it."""
    x = draw(finite)
    low, high = draw(ends), draw(ends)
    return Facts(low if low <= x else x, high if high >= x else x), x


def holds(facts, value):
    slack = 1e-9 * (1 + abs(value))
    return facts.low - slack <= value <= facts.high + slack


@quickly
@given(points(), points())
def test_sum_and_product_contain_the_values(first, second):
    (f, x), (g, y) = first, second
    assert holds(f + g, x + y)
    assert holds(f * g, x * y)


@quickly
@given(points())
def test_square_contains_the_value_and_is_nonnegative(point):
    facts, x = point
    assert holds(square(facts), x * x)
    assert square(facts).nonnegative


@quickly
@given(st.floats(0, 50), st.floats(0, 3), st.floats(0, 50), st.floats(0, 3))
def test_real_power_contains_the_value(x, below, above, p):
    facts, exponent = Facts(max(0.0, x - below), x + above), Facts(p - below, p)
    assert holds(real_power(facts, exponent), x**p)


@quickly
@given(points(), points())
def test_bounds_are_numbers(first, second):
    f, g = first[0], second[0]
    results = [f + g, f * g, square(f)]
    assert not any(math.isnan(x) for r in results for x in (r.low, r.high))


def test_matrix_properties_of_a_sum_need_both():
    psd = Facts(symmetric=True, psd=True)
    assert (psd + psd).psd
    assert not (psd + Facts(symmetric=True)).psd
    assert (psd + Facts(symmetric=True)).symmetric
    assert not (psd + UNKNOWN).symmetric
    assert not (psd * psd).psd


def entrywise():
    """Expressions over G and numbers whose every node is entrywise."""
    leaves = st.one_of(st.just(G), st.just(nd.t), st.integers(-3, 3).map(as_expr), st.just(nd.rows))
    unary = [nd.abs, nd.sign, nd.tanh, nd.exp, lambda x: x * x, lambda x: -x, lambda x: x**3,
             lambda x: nd.sqrt(nd.abs(x)), lambda x: nd.abs(x) ** 0.3, nd.reciprocal,
             lambda x: nd.sum(x + G), lambda x: nd.max(x * G, over="rows"),
             lambda x: nd.inner(x + W, x + W)]  # fmt: skip
    binary = [lambda x, y: x + y, lambda x, y: x * y, nd.maximum, nd.minimum, lambda x, y: x - y]
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda f, x: f(x), st.sampled_from(unary), inner),
            st.builds(lambda f, x, y: f(x, y), st.sampled_from(binary), inner, inner),
        ),
        max_leaves=5,
    )


@quickly
@given(entrywise(), st.integers(0, 1000))
def test_inferred_bounds_hold_of_the_values(expr, seed):
    gradient = random_matrix(2, 3, seed)
    shown = evaluate(expr + (G - G), gradient, random_matrix(2, 3, seed + 1))
    finite_values = shown[shown.isfinite()]
    slack = 1e-9 * (1 + finite_values.abs())
    assert bool((finite_values >= expr.facts.low - slack).all())
    assert bool((finite_values <= expr.facts.high + slack).all())


GRAM = G @ G.T
C = W @ G.T
BETA, LR, R = Param("beta", FRACTION), Param("lr", NON_NEGATIVE), Param("r", REAL)

PSD = {
    "gram": GRAM,
    "congruence": W @ (G.T @ G) @ W.T,
    "congruence, grouped otherwise": (W @ G.T) @ (G @ W.T),
    "numbers added": (G + 1) @ (1 + G.T),
    "rows added": (G + nd.sum(G, over="rows")) @ (G.T + nd.sum(G, over="rows").T),
    "sum": GRAM + W @ W.T,
    "nonnegative multiple": 3 * GRAM,
    "hyper-parameter": LR * GRAM,
    "average": BETA * GRAM + (1 - BETA) * (W @ W.T),
    "Schur product": GRAM * (W @ W.T),
    "square of a real multiple": R * (R * GRAM),
    "multiples of a Schur product": (R * GRAM) * (R * (W @ W.T)),
    "identity": nd.eye_like(GRAM),
    "zero": nd.zeros_like(GRAM),
    "power": nd.matrix_power(GRAM, 1 / 2),
    "inverse": nd.inverse(GRAM),
    "polar factor": nd.polar(GRAM),
    "even power of symmetric": (C + C.T) @ (C + C.T),
    "moving average": nd.ema(GRAM, 0.9),
    "accumulation": nd.accumulate(GRAM, 2 * nd.eye_like(GRAM)),
    "value one step ago": nd.prev(GRAM),
}
NOT_PSD = {
    "difference": GRAM - W @ W.T,
    "negative multiple": -1 * GRAM,
    "real multiple": R * GRAM,
    "odd power of a real multiple": R * (R * (R * GRAM)),
    "extrapolation": 2 * GRAM - GRAM * 1,
    "product of two": GRAM @ (W @ W.T),
    "no Gram matrix": C,
    "symmetrised": C + C.T,
    "entrywise function": nd.sqrt(nd.abs(GRAM)),
    "plus a number": GRAM + 1,
    "maximum": nd.maximum(GRAM, W @ W.T),
    "negative middle": G @ (-1 * (G.T @ G)) @ G.T,
    "accumulation from a negative start": nd.accumulate(GRAM, -nd.eye_like(GRAM)),
    "eigenvectors": nd.eigenbasis(GRAM),
}


@pytest.mark.parametrize("name", PSD)
def test_known_to_be_psd(name):
    assert PSD[name].facts.psd
    assert PSD[name].facts.symmetric


@pytest.mark.parametrize("name", NOT_PSD)
def test_not_known_to_be_psd(name):
    assert not NOT_PSD[name].facts.psd
    with refuses(nd.DomainError, "take a matrix power", "symmetric S"):
        nd.matrix_power(NOT_PSD[name], 1 / 2)


def square_value(expr):
    """Return the m×m value of an expression of W and G at random square matrices."""
    gradient = random_matrix(3, 3, 5)
    expr = replace(expr, {BETA: as_expr(0.3), LR: as_expr(2), R: as_expr(-3)})
    return evaluate(expr @ G, gradient, random_matrix(3, 3, 6)) @ torch.linalg.inv(gradient)


@pytest.mark.parametrize("name", PSD)
def test_psd_is_true_of_the_values(name):
    value = square_value(PSD[name])
    torch.testing.assert_close(value, value.mT, rtol=1e-8, atol=1e-8)
    assert torch.linalg.eigvalsh(value).min() > -1e-8


SYMMETRIC = {
    "symmetrised": C + C.T,
    "real multiple": R * GRAM,
    "difference": GRAM - W @ W.T,
    "entrywise function": nd.tanh(GRAM),
    "entrywise product": (C + C.T) * GRAM,
    "entrywise products in another order": C * nd.tanh(C) + nd.tanh(C.T) * C.T,
    "inverse": nd.inverse(C + C.T),
    "polar factor": nd.polar(C + C.T),
    "mirrored product": C @ (C + C.T) @ C.T,
    "average": nd.ema(C + C.T, 0.5),
}
NOT_SYMMETRIC = {
    "product": C,
    "product of symmetric": GRAM @ (W @ W.T),
    "plus nonsymmetric": GRAM + C,
    "eigenvectors": nd.eigenbasis(GRAM),
    "matrix of the other side": G,
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_known_to_be_symmetric(name):
    assert SYMMETRIC[name].facts.symmetric
    assert nd.eigenbasis(SYMMETRIC[name]).shape == GRAM.shape
    assert SYMMETRIC[name] == SYMMETRIC[name].T


def test_shared_parts_are_compared_once():
    x, y = G, G.T
    for _ in range(50):
        x, y = x * x + 1, y * y + 1
    assert (x @ y).facts.psd


@pytest.mark.parametrize("name", ["product", "product of symmetric", "plus nonsymmetric"])
def test_eigenbasis_of_what_may_be_nonsymmetric_is_refused(name):
    with refuses(nd.DomainError, "take the eigenbasis", "symmetric"):
        nd.eigenbasis(NOT_SYMMETRIC[name])


@pytest.mark.parametrize("name", NOT_SYMMETRIC)
def test_not_known_to_be_symmetric(name):
    assert not NOT_SYMMETRIC[name].facts.symmetric
    assert NOT_SYMMETRIC[name] != NOT_SYMMETRIC[name].T


Q, P = nd.eigenbasis(GRAM), nd.eigenbasis(W @ W.T)
ORTHOGONAL = {
    "identity": nd.eye_like(GRAM),
    "eigenvectors": Q,
    "transpose": Q.T,
    "product": Q.T @ P,
    "inverse": nd.inverse(Q.T @ P),
    "polar factor": nd.polar(Q @ P),
    "negative": -(Q @ P),
    "value one step ago": nd.prev(Q, init=nd.eye_like(GRAM)),
    "turned along": nd.fix(lambda q: q @ nd.eigenbasis(q.T @ GRAM @ q), nd.eye_like(GRAM)),
    "coupled": nd.fix(
        lambda q, p: (p.T, q @ Q),
        (nd.eye_like(GRAM), P.T @ P @ nd.eigenbasis(nd.eye_like(GRAM) + W @ W.T)),
    )[1],
}
NOT_ORTHOGONAL = {
    "gram": GRAM,
    "sum": Q + P,
    "average": nd.ema(Q, 0.9),
    "multiple": 2 * Q,
    "scaled": nd.abs(nd.sum(G)) * Q,
    "flipped by zero": nd.sign(nd.sum(G)) * Q,
    "entrywise product": Q * P,
    "product with another": Q @ GRAM,
    "power": nd.matrix_power(GRAM, 1 / 2),
    "polar factor": nd.polar(C),
    "triangle": nd.cholesky(GRAM),
    "zero before the first step": nd.prev(Q),
    "drifting": nd.fix(lambda q: q @ GRAM, nd.eye_like(GRAM)),
    "constant": nd.zeros_like(GRAM) + 1,
    "entries": nd.sign(Q),
    "draw": nd.signs_like(GRAM),
}


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_known_to_be_orthogonal(name):
    assert ORTHOGONAL[name].facts.orthogonal
    value = square_value(ORTHOGONAL[name])
    torch.testing.assert_close(value @ value.mT, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("name", NOT_ORTHOGONAL)
def test_a_rotation_that_may_be_none_is_refused(name):
    turn = NOT_ORTHOGONAL[name]
    assert not turn.facts.orthogonal
    for make in (nd.preconditioned, nd.inner_only, nd.outer_only):
        with refuses(nd.DomainError, "rotate a norm", "QᵀQ = I", "left= or right="):
            make(nd.spectral, rotate=(turn, nd.eye_like(G.T @ G)))
    with refuses(nd.DomainError, "rotate a norm"):
        nd.preconditioned(nd.spectral, rotate=(Q, nd.matrix_power(G.T @ G, 0.5)))


@pytest.mark.parametrize(
    "x",
    [G * G, nd.abs(G), nd.exp(G), nd.sqrt(nd.abs(G)), nd.maximum(G, 0), 1 - BETA, 1 - BETA**nd.t,
     BETA * (1 - BETA), nd.inner(G, G), nd.spectral.value(G), nd.max(nd.abs(G)), nd.sum(G * G),
     G**2, G**-2, nd.t - 1, nd.rows / nd.cols, nd.reciprocal(nd.abs(G)), nd.ema(G * G, 0.9),
     nd.prev(nd.abs(G)), (-G) * (-G), -nd.minimum(G, 0), 1 - nd.tanh(G), 1 - nd.sign(G),
     1 - 1 / nd.t, nd.minimum(1 - 1 / nd.t, BETA), nd.trace(GRAM),
     nd.inner(GRAM, nd.output_moment), R * R * G * G, G * R * G * R, G * (R * (G * R)),
     R * (R**3), G * nd.sign(G), nd.tanh(G) * G**3, nd.reciprocal(G) * G, -(R * R * -nd.abs(G)),
     nd.inner(G, nd.polar(G)), nd.inner(R * G, R * nd.polar(G)), -nd.inner(nd.spectral.lmo(G), G),
     nd.inner(G, nd.frobenius.sharp(G)), nd.inner(G, nd.sign(G)),
     nd.sum(G * nd.sign(G), over="rows")],
    ids=str,
)  # fmt: skip
def test_square_root_is_accepted_where_the_argument_is_known_nonnegative(x):
    assert nd.sqrt(x).facts.nonnegative


@pytest.mark.parametrize(
    "x",
    [2 * G, G + G * G, G * W, -nd.abs(G), 1 - 2 * BETA, R * R * R, nd.maximum(G, -1), G**3,
     nd.inner(G, W), nd.sum(G), nd.abs(G) - 1, nd.ema(G, 0.9), nd.log(nd.abs(G)), 1 - nd.t,
     R * G * R, R * R * R * G * G, G * nd.sign(W), -(G * nd.sign(G)), G * nd.exp(G), R * G**2,
     nd.inner(G, nd.polar(W)), nd.inner(R * G, nd.polar(G)), nd.inner(nd.spectral.lmo(G), G),
     nd.accumulate(G * G, -1 * nd.abs(W)), nd.loss * 1.5, nd.trace(G @ W.T), 1 - nd.t**2,
     nd.sum(nd.output_moment * GRAM, over="cols"), nd.inner(GRAM, GRAM - nd.output_moment)],
    ids=str,
)  # fmt: skip
def test_square_root_is_refused_where_the_argument_may_be_negative(x):
    with refuses(nd.DomainError, "raise to the power ½", "not known to be ≥ 0"):
        nd.sqrt(x)


def test_both_of_two_facts():
    either = Facts(low=0.0, psd=True, symmetric=True) & Facts(-1.0, 1.0)
    assert either == Facts(0.0, 1.0, symmetric=True, psd=True)


def test_named_facts():
    assert NONNEGATIVE.nonnegative
    assert not UNKNOWN.nonnegative
    assert (UNIT.low, UNIT.high) == (-1, 1)


Q = nd.eigenbasis(G @ G.T)
row, col = nd.sum(G * G, over="rows"), nd.sum(W, over="cols")
MIRRORED = {
    "X + Xᵀ of a product": W @ G.T + G @ W.T,
    "with numbers": (W @ G.T) / 2 + (0.5 * G) @ W.T,
    "beside another": G @ G.T + (W @ G.T + G @ W.T),
    "scattered terms": (W @ G.T + G @ G.T) + G @ W.T,
    "A S Aᵀ": G @ (W.T @ G + G.T @ W) @ G.T,
    "longer products": W @ (G.T @ G) @ G.T + G @ (G.T @ G) @ W.T,
    "Q diag(d) Qᵀ": (Q * nd.sum(Q, over="rows")) @ Q.T,
    "diag(c) X Xᵀ diag(c)": (col * G) @ (col * G).T,
    "G diag(r) Gᵀ": (G * row) @ G.T,
    "X ∘ Xᵀ": (W @ G.T) * (G @ W.T),
    "inverses": nd.inverse(W @ G.T) + nd.inverse(G @ W.T),
    "functions of entries": nd.tanh(W @ G.T) + nd.tanh(G @ W.T),
    "larger of both": nd.maximum(W @ G.T, G @ W.T),
    "an average": nd.ema(W @ G.T, 0.5) + nd.ema(W @ G.T, 0.5).T,
}
ONE_SIDED = {
    "X + X": W @ G.T + W @ G.T,
    "X − Xᵀ": W @ G.T - G @ W.T,
    "unequal numbers": 0.9 * W @ G.T + 0.8 * G @ W.T,
    "other diagonals": (col * G) @ (nd.sum(G, over="cols") * G).T,
    "one of two": W @ G.T + G @ G.T,
    "another middle": W @ (W.T @ G) @ W.T,
}


@pytest.mark.parametrize("matrix", MIRRORED.values(), ids=MIRRORED.keys())
def test_a_matrix_that_is_its_own_transpose_is_known_to_be(matrix):
    assert matrix.facts.symmetric
    assert nd.eigenbasis(matrix).shape == matrix.shape
    value = evaluate(matrix @ G, random_matrix(4, 4), random_matrix(4, 4, 1))
    value = value @ torch.linalg.inv(random_matrix(4, 4))
    torch.testing.assert_close(value, value.mT, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("matrix", ONE_SIDED.values(), ids=ONE_SIDED.keys())
def test_a_matrix_that_is_not_its_own_transpose_is_not_taken_for_one(matrix):
    assert not matrix.facts.symmetric


@pytest.mark.parametrize(
    ("matrix", "definite"),
    [
        (0.1 * G @ G.T, True),
        (-0.1 * G @ G.T, False),
        ((-0.1 * G) @ (-0.1 * G).T, True),
        ((nd.loss * G) @ (nd.loss * G).T, True),
        (nd.loss * G @ G.T, False),
        ((G * row) @ G.T, True),
        ((G * nd.sum(W, over="rows")) @ G.T, False),
        (W @ G.T + G @ W.T, False),
    ],
    ids=str,
)
def test_a_number_in_a_gram_matrix_decides_whether_it_is_definite(matrix, definite):
    assert matrix.facts.symmetric
    assert matrix.facts.psd is definite
