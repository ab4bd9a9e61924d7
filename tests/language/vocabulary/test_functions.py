"""The user's words: each builds the node it names."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.folding import fold
from normdsl.expressions import nodes
from normdsl.expressions.domains import NON_NEGATIVE
from normdsl.expressions.nodes.arithmetic import Pow
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import SCALAR, Dim, Shape

GRAM = G @ G.T
C = W @ G.T

TORCH = {
    "abs": torch.abs,
    "sign": torch.sign,
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "cos": torch.cos,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("word", TORCH)
def test_entrywise_words(word):
    g = random_matrix(3, 4)
    torch.testing.assert_close(evaluate(getattr(nd, word)(G), g), TORCH[word](g))


@pytest.mark.parametrize("word", [*TORCH, "sqrt", "log"])
def test_entrywise_words_take_numbers(word):
    assert getattr(nd, word)(2).shape == SCALAR


def test_square_root_and_logarithm():
    g = random_matrix(3, 4).abs()
    torch.testing.assert_close(evaluate(nd.sqrt(nd.abs(G)), g), g.sqrt())
    torch.testing.assert_close(evaluate(nd.log(nd.abs(G)), g), g.log())
    assert nd.sqrt(G * G) == Pow(G * G, as_expr(0.5)) == (G * G) ** 0.5


@pytest.mark.parametrize("word", ["sqrt", "log"])
def test_words_with_a_domain_refuse_the_rest(word):
    with refuses(nd.DomainError, "at:  2 G", "nd.abs"):
        getattr(nd, word)(2 * G)
    with refuses(nd.DomainError):
        getattr(nd, word)(-1)


def test_maximum_and_minimum():
    g, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    assert torch.equal(evaluate(nd.maximum(G, W), g, w), torch.maximum(g, w))
    assert torch.equal(evaluate(nd.minimum(G, W), g, w), torch.minimum(g, w))
    assert torch.equal(evaluate(nd.minimum(1, G), g), g.clamp_max(1))
    assert nd.minimum(nd.abs(G), 1).facts.high == 1
    assert torch.equal(evaluate(nd.clamp(G, -0.5, 0.25), g), g.clamp(-0.5, 0.25))


@pytest.mark.parametrize(("over", "axes"), [("rows", 0), ("cols", 1), ("all", (0, 1))])
def test_means(over, axes):
    g = random_matrix(3, 4, 1)
    found = evaluate(nd.mean(G, over=over) + 0 * G, g)
    torch.testing.assert_close(found, g.mean(axes, keepdim=True).expand_as(g))
    assert nd.mean(G.T @ G, over="rows") == nd.sum(G.T @ G, over="rows") / nd.cols


def test_the_start_is_what_the_weights_were_at_first():
    w = random_matrix(3, 4, 1)
    rule = nd.functional(nd.Declaration("rule", (), W - (W - nd.start()) / 2 - G))
    state, at = rule.init(w), w
    for _ in range(3):
        at, state = rule.update(torch.ones_like(w), state, at)
    torch.testing.assert_close(at, w - 1.75)


@pytest.mark.parametrize(
    ("over", "axes", "shape"),
    [
        ("all", (0, 1), SCALAR),
        ("rows", (0,), Shape(Dim.ONE, Dim.N)),
        ("cols", (1,), Shape(Dim.M, Dim.ONE)),
    ],
)
def test_sum_and_max(over, axes, shape):
    g = random_matrix(3, 4)
    for word, f in ((nd.sum, torch.sum), (nd.max, torch.amax)):
        assert word(G, over=over).shape == shape
        expected = f(g, axes, keepdim=True).expand_as(g)
        torch.testing.assert_close(evaluate(word(G, over=over), g), expected)
    assert nd.sum(G) == nd.sum(G, over="all")


@pytest.mark.parametrize("word", [nd.sum, nd.max])
@pytest.mark.parametrize("over", ["row", "", None, 0])
def test_other_axes_are_refused(word, over):
    with refuses(nd.DeclarationError, f"reduce over {over!r}", "are rows, cols, all, layers"):
        word(G, over=over)


def test_spectral_words_build_their_nodes():
    assert nd.polar(G) == nodes.Polar(G)
    assert nd.inner(G, W) == nodes.Inner(G, W)
    assert nd.eigenbasis(GRAM) == nodes.Eigenbasis(GRAM)
    assert nd.matrix_power(GRAM, 0.25) == nodes.MatrixPower(GRAM, as_expr(0.25))
    assert nd.inverse(C) == nodes.Inverse(C)


def test_inverse_knows_what_it_inverts():
    root, basis = nd.matrix_power(GRAM, 0.25), nd.eigenbasis(GRAM)
    assert nd.inverse(root) == nd.matrix_power(GRAM, -0.25)
    assert nd.inverse(nd.inverse(root)) == root
    assert nd.inverse(nd.inverse(C)) == C
    assert nd.inverse(basis) == basis.T
    given = nd.fix(lambda s: s, nd.eye_like(G @ G.T))  # another start may be assumed of it
    assert nd.inverse(given) != given
    assert nd.inverse(given @ basis) != (given @ basis).T
    assert nd.inverse(GRAM) == nd.matrix_power(GRAM, -1)
    assert nd.inverse(nd.inverse(GRAM)) == GRAM


@pytest.mark.parametrize("x", [C, GRAM, nd.matrix_power(GRAM, 0.5), nd.eigenbasis(GRAM)], ids=str)
def test_inverse_inverts(x):
    g, w = random_matrix(3, 3, 1), random_matrix(3, 3, 2)
    torch.testing.assert_close(evaluate(nd.inverse(x) @ x @ G, g, w), g)
    torch.testing.assert_close(evaluate(x @ nd.inverse(x) @ G, g, w), g)


def test_first_power_is_the_matrix_itself():
    assert nd.matrix_power(GRAM, 1) == GRAM


def test_the_power_zero_is_the_identity_also_of_a_singular_matrix():
    eye = nd.eye_like(GRAM)
    assert nd.matrix_power(GRAM, 0) == eye
    p = nodes.Param("p", NON_NEGATIVE)
    power = nd.matrix_power(0 * GRAM, p)
    assert fold(power, {p: as_expr(0)}) == eye
    assert fold(power, {}) == power
    assert fold(power @ G, {p: as_expr(0)}) == G
    assert fold(nd.matrix_power(0 * GRAM, 2), {}) == 0 * GRAM


@pytest.mark.parametrize("p", [1 / 2, 1, 2])
def test_matrix_power_refuses_the_same_for_every_exponent(p):
    with refuses(nd.ShapeError, "defined for square matrices"):
        nd.matrix_power(2 * G, p)
    with refuses(nd.DomainError, "symmetric S"):
        nd.matrix_power(C, p)


@pytest.mark.parametrize("word", [nd.inverse, nd.eigenbasis])
def test_matrix_words_refuse_rectangles(word):
    with refuses(nd.ShapeError, "m×m or n×n"):
        word(2 * G)


def test_the_advice_on_eigenbases_can_be_followed():
    """The error says: use S + S.T."""
    with refuses(nd.DomainError, "S + S.T"):
        nd.eigenbasis(C)
    assert nd.eigenbasis(C + C.T).shape == C.shape


def test_the_advice_on_powers_can_be_followed():
    assert nd.matrix_power(C @ C.T, 1 / 2).facts.psd
    assert nd.sqrt(nd.abs(G)).facts.nonnegative
    assert nd.inverse(C).shape == C.shape


def test_trace_sums_the_diagonal():
    x = random_matrix(3, 4)
    found = evaluate(nd.trace(G @ G.T) + nd.zeros_like(G), x)
    torch.testing.assert_close(found[0, 0], (x * x).sum())
    assert str(nd.trace(GRAM)) == "tr(G Gᵀ)"
    with refuses(nd.ShapeError, "trace"):
        nd.trace(G)


def test_places_and_blocks_of_a_scalar_are_the_scalar():
    assert nd.kth_largest(nd.t, 1) == nd.t
    assert nd.kth_largest(nd.t, 2) == as_expr(0)
    assert nd.block_mean(nd.t, rows=3) == nd.t
    assert nd.block_mean(G) == G
    with refuses(nd.DomainError, "≥ 0"):
        nd.kth_largest(nd.loss, 1)
    with refuses(nd.DomainError, "a row and a column"):
        nd.block_mean(nd.t, rows=0)


def test_places_are_counted_along_axes():
    found = nd.kth_largest(nd.abs(G), 2, over="cols")
    assert found == nodes.KthLargest(nd.abs(G), 2, False, True)
    assert nd.kth_largest(nd.abs(G), 2) == nodes.KthLargest(nd.abs(G), 2, True, True)


def test_sums_and_maxima_over_layers():
    x = nd.inner(G, W)
    assert nd.sum(x, over="layers") == nodes.Across(nodes.Reducer.SUM, x)
    assert nd.max(x, over="layers") == nodes.Across(nodes.Reducer.MAX, x)
    with refuses(nd.ShapeError, "over='layers'"):
        nd.sum(2 * G, over="layers")
    with refuses(nd.DeclarationError, "did you mean layers?"):
        nd.sum(G, over="layer")


def test_no_state_starts_from_what_layers_share():
    """States start one parameter at a time, and late ones after the others."""
    with refuses(nd.DeclarationError, "a non-causal recursion"):
        nd.fix(lambda s: s, nd.sum(nd.inner(W, W), over="layers"))
