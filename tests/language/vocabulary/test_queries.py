"""Queries as expressions: shapes, what they simplify to, how they are written and saved."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions.nodes import Asked, Query
from normdsl.expressions.origins import Origin
from normdsl.expressions.shapes import MATRIX, SCALAR
from normdsl.show.latex import latex


def test_what_is_asked_has_the_shape_of_the_answer():
    assert nd.gradient(at=2 * W).shape == nd.hessian_product(G).shape == MATRIX
    assert nd.loss_at(2 * W).shape == SCALAR


def test_at_the_weights_the_step_knows_the_answer():
    assert nd.gradient(at=W) == G
    assert nd.loss_at(W) == nd.loss
    assert isinstance(nd.hessian_product(G), Query)


def test_a_query_comes_from_the_loss_and_from_its_point():
    assert nd.gradient(at=2 * W).origins == Origin.GRADIENT | Origin.WEIGHTS
    assert nd.loss_at(2 * W).origins == Origin.LOSS | Origin.WEIGHTS
    assert nd.hessian_product(nd.signs_like(W)).zero_with == (nd.signs_like(W),)


def test_points_and_directions_are_matrices_like_w():
    with pytest.raises(ShapeError, match="the point has shape n×m"):
        nd.gradient(at=W.T)
    with pytest.raises(ShapeError, match="the direction has shape m×m"):
        nd.hessian_product(G @ G.T)
    with pytest.raises(DeclarationError, match="has a direction, and nothing else has one"):
        Query(Asked.GRADIENT, 2 * W, G)


def test_a_query_is_written_as_in_a_paper():
    assert str(nd.gradient(at=2 * W)) == "∇f(2 W)"
    assert str(nd.hessian_product(G, at=2 * W)) == "∇²f(2 W) G"
    assert latex(nd.loss_at(2 * W)) == r"f\!\left(2\, W\right)"
    assert latex(nd.hessian_product(G)) == r"\nabla^{2} f\!\left(W\right)\, G"


def test_a_rule_says_that_it_asks():
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.gradient(at=2 * W))
    assert rule.asks
    assert not nd.algorithms.adam.asks
    assert nd.from_json(nd.to_json(rule)) == rule


def test_a_rule_may_read_values_elsewhere_alone():
    """As rules of order zero do; the loss at W alone says nothing of where to go."""
    rule = nd.optimizer(lambda lr=0.1: W - lr * (nd.loss_at(2 * W) - nd.loss) * W)
    assert rule.asks


def test_a_rule_may_read_a_gradient_elsewhere_alone():
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.gradient(at=2 * W))
    with pytest.raises(DeclarationError, match="do not depend on the gradient"):
        nd.optimizer(lambda lr=0.1: W - lr * nd.loss * W)
    assert rule.check("orthogonal", witnesses=False).answer == "invariant"
