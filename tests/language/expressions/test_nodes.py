"""The remaining nodes: values, shapes, facts and refusals."""

import math

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.expressions import nodes
from normdsl.expressions.domains import FRACTION, REAL
from normdsl.expressions.nodes import (
    FUNCTIONS,
    Across,
    Apply,
    BlockMean,
    Eigenbasis,
    Eye,
    Inner,
    Inverse,
    KthLargest,
    MatrixPower,
    Maximum,
    Param,
    Polar,
    Quantile,
    Reduce,
    Reducer,
    Relation,
    Remainder,
    SingularLmo,
    SingularNorm,
    Where,
)
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, SCALAR, Dim, Shape

GRAM = G @ G.T
C = W @ G.T


def same(expr, expected, g=None, w=None):
    """Compare an expression's value with what torch computes."""
    g = random_matrix(3, 4, 1) if g is None else g
    w = random_matrix(3, 4, 2) if w is None else w
    torch.testing.assert_close(evaluate(expr, g, w), expected(g, w).expand_as(g))


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=lambda f: f.name)
def test_function_is_what_its_name_says(f):
    x = nd.abs(G) if f.nonnegative_domain else G
    same(Apply(f, x), lambda g, w: getattr(torch, f.name)(g.abs() if f.nonnegative_domain else g))


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=lambda f: f.name)
def test_facts_of_functions_hold_of_their_values(f):
    x = torch.linspace(0.1, 3, 12, dtype=torch.float64)
    values, mirrored = getattr(torch, f.name)(x), getattr(torch, f.name)(-x)
    both = values if f.nonnegative_domain else torch.cat([values, mirrored])
    assert torch.allclose(mirrored, -values) == f.odd
    assert torch.allclose(mirrored, values) == f.even
    assert both.min() >= f.low
    assert both.max() <= f.high
    scaled = getattr(torch, f.name)(2 * x)
    degrees = [d for d in (-1, 0, 1) if torch.allclose(scaled, values * 2.0**d)]
    assert degrees == ([] if f.degree is None else [f.degree])


def test_functions_at_zero():
    zero = torch.zeros(2, 2, dtype=torch.float64)
    for f in (nodes.SIGN, nodes.RECIPROCAL, nodes.ABS, nodes.TANH):
        assert torch.equal(evaluate(Apply(f, G), zero), zero)


@pytest.mark.parametrize("f", [nodes.ABS, nodes.SIGN, nodes.TANH, nodes.RECIPROCAL])
def test_functions_keep_shape_and_symmetry(f):
    assert Apply(f, GRAM).shape == LEFT
    assert Apply(f, GRAM).facts.symmetric
    assert not Apply(f, GRAM).facts.psd
    assert Apply(f, nd.abs(G)).facts.nonnegative


def test_logarithm_needs_a_nonnegative_argument():
    with refuses(nd.DomainError, "take the log", "nd.abs"):
        Apply(nodes.LOG, 2 * G)


def test_hyper_parameter_has_the_facts_of_its_domain():
    beta = Param("beta", FRACTION)
    assert (beta.facts.low, beta.facts.high) == (0, 1)
    assert Param("r", REAL).facts.low == -math.inf
    assert beta.shape == SCALAR


def test_identity():
    assert Eye(Dim.M).shape == LEFT
    assert Eye(Dim.N).shape == RIGHT
    assert Eye(Dim.M).facts.psd
    same(Eye(Dim.M) @ G @ Eye(Dim.N), lambda g, w: g)


def test_maximum():
    same(Maximum(G, W), torch.maximum)
    same(Maximum(G, as_expr(0)), lambda g, w: g.clamp_min(0))
    assert Maximum(G, nd.sum(G, over="rows")).shape == MATRIX
    assert Maximum(GRAM, C).facts.symmetric is False


def test_a_maximum_that_bounds_decide_is_one_of_the_two():
    """So that min(lr, …) is known to be no step at lr = 0, and no condition asks for it."""
    size, zero = nd.abs(G), nd.zeros_like(G)
    assert nd.maximum(size, zero) == size
    assert nd.maximum(-size, zero) == zero
    assert nd.maximum(size, 0) == size
    assert isinstance(nd.maximum(0, -size), Maximum)  # 0 has another shape
    assert isinstance(nd.maximum(G, zero), Maximum)


def test_maximum_of_other_shapes_is_refused_in_its_own_words():
    with refuses(nd.ShapeError, "maximum"):
        Maximum(G, GRAM)


def test_remainder():
    size = W * W
    same(Remainder(G, size), lambda g, w: g - w**2 * torch.floor(g / w**2))
    same(Remainder(G, 0 * size), lambda g, w: torch.zeros_like(g))
    same(Remainder(as_expr(7), nd.abs(G)), lambda g, w: torch.remainder(7, g.abs()))
    assert Remainder(G, nd.tanh(size)).facts.high == 1
    assert Remainder(G, size).facts.nonnegative


def test_a_remainder_by_what_may_be_negative_is_refused():
    with refuses(nd.DomainError, "known to be ≥ 0"):
        Remainder(W, G)
    with refuses(nd.ShapeError, "remainder"):
        Remainder(G, nd.abs(GRAM))


@pytest.mark.parametrize("relation", list(Relation))
def test_where(relation):
    compare = {"<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge}[relation.value]
    same(
        Where(relation, G, W, 2 * G, as_expr(0)),
        lambda g, w: torch.where(compare(g, w), 2 * g, 0.0),
    )
    same(
        Where(relation, G, G, as_expr(1), as_expr(2)),
        lambda g, w: torch.where(compare(g, g), torch.ones_like(g), 2.0),
    )


def test_what_is_known_of_a_choice():
    scalar, above = nd.sum(G), Relation.ABOVE
    assert Where(above, G, W, as_expr(-1), nd.exp(G)).facts.low == -1
    assert Where(above, scalar, as_expr(0), GRAM, 2 * GRAM).facts.psd
    assert Where(above, GRAM, C, GRAM, 2 * GRAM).facts.symmetric is False
    assert Where(above, nd.sum(G, over="rows"), as_expr(0), G, W).shape == MATRIX
    assert nd.where(nd.t < 1, G, W) == W
    assert nd.where(nd.exp(G) >= 0, G, W) == G
    assert nd.where(G > 0, W, W) == W
    assert isinstance(nd.where(nd.exp(G) > 0, G, W), Where)  # it may underflow
    assert nd.where(True, G, W) == nd.where(2 > 1, G, W) == G


def test_choices_of_other_shapes_are_refused_in_their_own_words():
    with refuses(nd.ShapeError, "choose between"):
        nd.where(G > 0, G, GRAM)
    with refuses(nd.ShapeError, "compare an m×n and an m×m"):
        nd.where(G > GRAM, G, W)
    with refuses(nd.ShapeError, "choose an entry of an n×m by each of an m×1", "sum[j](G)"):
        nd.where(nd.sum(G, over="cols") > 0, G.T, 1)
    with refuses(nd.DeclarationError, "choose by an expression", "at:  G", "nd.where(x > 0"):
        nd.where(G, 1, 0)


@pytest.mark.parametrize("p", [1 / 2, 1 / 4, -1, -1 / 2, 2, 3 / 4])
def test_matrix_power(p):
    gradient = random_matrix(3, 5, 1)
    values, vectors = torch.linalg.eigh(gradient @ gradient.mT)
    expected = vectors @ torch.diag(values**p) @ vectors.mT @ gradient
    torch.testing.assert_close(evaluate(nd.matrix_power(GRAM, p) @ G, gradient), expected)


@pytest.mark.parametrize("p", [-1 / 4, -1 / 2, -1, -2])
def test_negative_matrix_power_lives_on_the_range(p):
    """On a singular S, S^p S^{−p} is the projection on its range; nothing is infinite."""
    gradient = random_matrix(4, 2, 1) @ random_matrix(2, 3, 2)
    expr = nd.matrix_power(GRAM, p) @ nd.matrix_power(GRAM, -p) @ G
    torch.testing.assert_close(evaluate(expr, gradient), gradient)
    assert evaluate(nd.matrix_power(GRAM, p) @ G, torch.zeros(4, 3).double()).abs().max() == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: MatrixPower(2 * G, LR),
        lambda: Inverse(2 * G),
        lambda: Eigenbasis(2 * G),
        lambda: Inverse(nd.sum(G)),
    ],
)
def test_matrix_functions_need_square_matrices(build):
    with refuses(nd.ShapeError, "defined for square matrices", "test_nodes.py"):
        build()


LR = Param("lr", FRACTION)


@pytest.mark.parametrize("exponent", [2 * G, nd.zeros_like(G), nd.sum(G, over="rows")], ids=str)
def test_exponent_of_a_matrix_power_is_a_scalar(exponent):
    with refuses(nd.ShapeError, "raise a matrix to the power of a"):
        MatrixPower(GRAM, exponent)


def test_inverse():
    same(Inverse(C) @ G, lambda g, w: torch.linalg.inv(w @ g.mT) @ g)
    assert Inverse(C).shape == LEFT
    assert not Inverse(C).facts.symmetric
    assert Inverse(GRAM).facts.psd


def test_inverse_of_a_singular_matrix_is_its_pseudo_inverse():
    gradient = random_matrix(4, 2, 1) @ random_matrix(2, 3, 2)
    expr = C @ Inverse(C) @ C @ W
    weights = random_matrix(4, 3, 3)
    expected = weights @ gradient.mT @ weights
    torch.testing.assert_close(evaluate(expr, gradient, weights), expected)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 3)])
def test_polar_factor(shape):
    g = random_matrix(*shape)
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    torch.testing.assert_close(evaluate(Polar(G), g), u @ vh)


def test_polar_factor_of_low_rank_is_a_partial_isometry():
    g = random_matrix(4, 2, 1) @ random_matrix(2, 5, 2)
    found = evaluate(Polar(G), g)
    singular = torch.linalg.svdvals(found)
    torch.testing.assert_close(singular, torch.tensor([1.0, 1, 0, 0]).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(found @ found.mT @ g, g)


def test_eigenbasis_diagonalises_with_the_largest_first():
    Q = Eigenbasis(GRAM)
    diagonal = evaluate(Q.T @ GRAM @ Q @ W, g := random_matrix(3, 3, 1), torch.eye(3).double())
    values = torch.linalg.eigvalsh(g @ g.mT).flip(0)
    torch.testing.assert_close(diagonal, torch.diag(values), atol=1e-9, rtol=1e-9)
    same(Q @ Q.T @ G, lambda g, w: g)


def test_inner_product():
    same(Inner(G, W), lambda g, w: (g * w).sum().reshape(1, 1))
    assert Inner(G, W).shape == SCALAR
    assert Inner(G, G).facts.nonnegative
    assert not Inner(G, W).facts.nonnegative


def test_inner_product_of_other_shapes_is_refused():
    with refuses(nd.ShapeError, "inner product of an m×n and an n×m", "test_nodes.py"):
        Inner(G, W.T)


@pytest.mark.parametrize("reducer", Reducer)
@pytest.mark.parametrize(
    ("rows", "cols", "shape", "axes"),
    [
        (True, True, SCALAR, (0, 1)),
        (True, False, Shape(Dim.ONE, Dim.N), (0,)),
        (False, True, Shape(Dim.M, Dim.ONE), (1,)),
    ],
)
def test_reduce(reducer, rows, cols, shape, axes):
    node = Reduce(reducer, G, rows, cols)
    f = torch.sum if reducer is Reducer.SUM else torch.amax
    assert node.shape == shape
    same(node, lambda g, w: f(g, axes, keepdim=True))


@pytest.mark.parametrize("p", [1.0, 2.0, 4.0, math.inf])
def test_norm_of_singular_values(p):
    node = SingularNorm(G, nd.lp(p))
    assert node.shape == SCALAR
    assert node.facts.nonnegative
    same(node, lambda g, w: torch.linalg.vector_norm(torch.linalg.svdvals(g), p).reshape(1, 1))


def test_lmo_of_singular_values():
    node = SingularLmo(G, nd.lp(1))
    u, _, vh = torch.linalg.svd(random_matrix(3, 4, 1))
    same(node, lambda g, w: -u[:, :1] @ vh[:1])
    assert node.shape == MATRIX
    assert SingularLmo(GRAM, nd.lp(1)).facts.symmetric


@pytest.mark.parametrize(
    ("rows", "cols", "shape"),
    [
        (True, True, SCALAR),
        (True, False, Shape(Dim.ONE, Dim.N)),
        (False, True, Shape(Dim.M, Dim.ONE)),
    ],
)
@pytest.mark.parametrize("k", [1, 3])
def test_kth_largest(rows, cols, shape, k):
    def expected(g, w):
        x = g.abs().flatten() if rows and cols else g.abs()
        axis = -1 if cols else 0
        found = x.sort(axis, descending=True).values.select(axis, k - 1)
        return found.reshape(1 if rows else 3, 1 if cols else 4)

    node = KthLargest(nd.abs(G), k, rows, cols)
    assert node.shape == shape
    assert node.facts.nonnegative
    same(node, expected)


def test_there_is_no_kth_largest_of_fewer():
    zeros = torch.zeros(1, 1, dtype=torch.float64)
    same(KthLargest(nd.abs(G), 13, True, True), lambda g, w: zeros)
    same(KthLargest(nd.abs(G), 4, True, False), lambda g, w: zeros)


@pytest.mark.parametrize("axes", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("share", [0.0, 0.35, 0.5, 1.0])
def test_quantile(axes, share):
    rows, cols = axes

    def expected(g, w):
        x = g.flatten() if rows and cols else g
        found = torch.quantile(x, share, dim=-1 if cols else 0)
        return found.reshape(1 if rows else 3, 1 if cols else 4)

    same(Quantile(G, as_expr(share), rows, cols), expected)
    assert Quantile(nd.tanh(G), as_expr(share), rows, cols).facts.high == 1


@pytest.mark.parametrize("share", [as_expr(1.5), nd.loss, nd.abs(G)])
def test_a_quantile_of_a_share_that_is_none_is_refused(share):
    with refuses(nd.DomainError, "lie in [0, 1]"):
        Quantile(G, share, True, True)


@pytest.mark.parametrize(("x", "k"), [(2 * G, 1), (nd.abs(G), 0)])
def test_kth_largest_of_signed_entries_or_place_zero_is_refused(x, k):
    with refuses(nd.DomainError, "known to be ≥ 0"):
        KthLargest(x, k, True, True)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3), (3, 1), (1, 2), (10**12, 3)])
def test_block_mean(rows, cols):
    def expected(g, w):
        found = torch.empty_like(g)
        for i in range(0, 3, rows):
            for j in range(0, 4, cols):
                found[i : i + rows, j : j + cols] = g[i : i + rows, j : j + cols].mean()
        return found

    node = BlockMean(G, rows, cols)
    assert node.shape == MATRIX
    assert BlockMean(nd.abs(G), rows, cols).facts.nonnegative
    same(node, expected)


@pytest.mark.parametrize(("rows", "cols"), [(0, 1), (1, -1)])
def test_a_block_without_entries_is_refused(rows, cols):
    with refuses(nd.DomainError, "a row and a column at least"):
        BlockMean(2 * G, rows, cols)


@pytest.mark.parametrize("reducer", Reducer)
def test_scalars_of_one_layer_are_their_own_sum_and_maximum(reducer):
    node = Across(reducer, nd.inner(G, G))
    assert node.shape == SCALAR
    assert node.facts.nonnegative
    assert not Across(reducer, nd.inner(G, W)).facts.nonnegative
    same(node, lambda g, w: (g * g).sum().reshape(1, 1))


def test_arrays_of_layers_are_not_combined():
    with refuses(nd.ShapeError, "combine an m×n over layers", "different shapes"):
        Across(Reducer.SUM, 2 * G)
