"""Types: what makes a number, a scalar, a clock, an array; operations take the largest."""

import pytest

import normdsl as nd
from normdsl import G, W, t
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.expressions.domains import Domain
from normdsl.expressions.nodes import Param

LR = Param("lr", Domain(0.0, 1.0))
ONE = nd.expressions.nodes.constants.as_expr(1)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (ONE / 3, Type.NUMBER),
        (nd.rows / nd.cols, Type.NUMBER),
        (LR * nd.rows, Type.HYPER),
        (1 - LR**t, Type.CLOCK),
        (W, Type.ARRAY),
        (nd.eye_like(G @ G.T), Type.ARRAY),
        (nd.zeros_like(W), Type.ARRAY),
        (t * G, Type.ARRAY),
        (nd.inner(G, G), Type.ARRAY),
        (nd.loss, Type.ARRAY),
    ],
    ids=str,
)
def test_types(expr, expected):
    assert Types({})(expr) is expected


def test_what_is_given_is_an_array():
    assert Types({LR * 2})(LR * 2) is Type.ARRAY
    assert Types({LR * 2})(LR) is Type.HYPER
