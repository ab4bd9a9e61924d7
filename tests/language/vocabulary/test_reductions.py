"""Sums, means and maxima over axes and layers."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.expressions import nodes
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import SCALAR, Dim, Shape

GRAM = G @ G.T


@pytest.mark.parametrize(("over", "axes"), [("rows", 0), ("cols", 1), ("all", (0, 1))])
def test_means(over, axes):
    g = random_matrix(3, 4, 1)
    found = evaluate(nd.mean(G, over=over) + 0 * G, g)
    torch.testing.assert_close(found, g.mean(axes, keepdim=True).expand_as(g))
    assert nd.mean(G.T @ G, over="rows") == nd.sum(G.T @ G, over="rows") / nd.cols


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
