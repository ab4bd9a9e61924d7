"""Groups: random elements lie in their class; the laws of the streams."""

import numpy as np
import pytest

import normdsl as nd
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.laws import INVARIANT
from normdsl.expressions.matrix_classes import ORTHOGONAL
from normdsl.expressions.nodes import Source

ACTIONS = [(group.name, action) for group in g.ALL for action in group.actions]


@pytest.mark.parametrize(("_", "action"), ACTIONS, ids=lambda x: getattr(x, "symbol", str(x)))
def test_elements_lie_in_their_class_and_differ_from_the_identity(_, action):
    x = action.draw(np.random.default_rng(0), 5)
    matrix = np.diag(x) if action.cls.diagonal else x
    assert matrix.shape == (5, 5)
    assert np.linalg.cond(matrix) < 100
    assert np.abs(matrix - np.eye(5)).max() > 0.1
    if action.cls <= ORTHOGONAL:
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(5), atol=1e-12)
    if action.cls.diagonal:
        assert (np.abs(x) > 0).all()
        assert action.cls.signed or (x > 0).all()


@pytest.mark.parametrize("group", g.ALL, ids=str)
def test_scalars_that_nobody_moves(group):
    for source in (Source.STEP, Source.ROWS, Source.COLS):
        assert group.law(source) == INVARIANT
    value = group.law(Source.LOSS)
    assert value is None if group.each_step else value.unit == group.loss_unit


@pytest.mark.parametrize("group", g.ALL, ids=str)
def test_the_moments_move_as_the_factors_of_the_gradient(group):
    """G = E[g xᵀ] has the rows of g and the columns of x, the unit of both together."""
    gradient = group.law(Source.GRADIENT)
    x, y = group.law(Source.INPUT_MOMENT), group.law(Source.OUTPUT_MOMENT)
    assert (y.rows, x.cols) == (gradient.rows, gradient.cols)
    assert x.unit + y.unit == 2 * gradient.unit
    assert x.entries == y.entries == INVARIANT.entries
    assert (x.twin, y.twin) == ((nd.output_moment, nd.input_moment) if group.swap else (None, None))


def test_there_are_sixteen():
    assert len(g.ALL) == 16
    assert all(g.named(group.name) is group for group in g.ALL)


def test_names_are_distinct_and_formulas_say_how_w_or_the_loss_moves():
    assert len({group.name for group in g.ALL}) == len(g.ALL)
    assert all(group.formula.startswith(("W = ", "f = ")) for group in g.ALL)
