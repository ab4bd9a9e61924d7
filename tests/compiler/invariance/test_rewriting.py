"""Identities against numbers: both sides of each, at random matrices."""

import pytest
import torch

import normdsl as nd
from normdsl import G
from normdsl.compiler.invariance.rewriting import (
    IDENTITIES,
    Rewriting,
    inverse_of_a_multiple,
    linear_stacking,
    positive,
    sherman_morrison,
    stacked_inner_product,
)
from normdsl.compiler.lowering.program import lower
from normdsl.schedules.schedule import exact

W, g = nd.W, nd.vec(G)
S = nd.vec(W * G) @ nd.vec(W * G).T / 7 + nd.eye_like(g @ g.T)
loss = nd.loss
#: An identity, and what it says something of.
CASES = [
    (linear_stacking, nd.vec(loss * G)),
    (linear_stacking, nd.vec(W + G)),
    (linear_stacking, nd.unvec(3 * loss * g)),
    (stacked_inner_product, nd.inner(W, 2 * nd.unvec(S @ g))),
    (inverse_of_a_multiple, nd.inverse(-loss * S)),
    (sherman_morrison, nd.inverse(loss * S + loss**2 * (g @ g.T)) @ (3 * g)),
    (sherman_morrison, nd.inverse(S - nd.vec(W) @ nd.vec(W).T) @ nd.vec(W)),
]


def value(expr, seed=0):
    """An expression at random weights and gradients, through the compiler."""
    draw = torch.Generator().manual_seed(seed)
    w, grad = (torch.randn(1, 2, 3, generator=draw, dtype=torch.float64) for _ in range(2))
    number = nd.trace(expr) if expr.shape.square else nd.sum(expr * (1 + expr))
    rule = nd.Declaration("rule", (), W + number * G)
    told = {"loss": torch.full((1, 1, 1), 1.7, dtype=torch.float64), "t": 1.0}
    return lower(rule, exact).step(w, grad, **told)[0]


@pytest.mark.parametrize(("identity", "expr"), CASES)
def test_both_sides_are_equal(identity, expr):
    after, _ = identity(expr)
    assert after != expr
    torch.testing.assert_close(value(after), value(expr), rtol=1e-9, atol=1e-9)


def test_every_identity_has_a_case():
    assert {identity for identity, _ in CASES} == set(IDENTITIES)


@pytest.mark.parametrize(
    "expr",
    [
        nd.inverse(S + g @ nd.vec(W).T) @ g,  # no square
        nd.inverse(S + g @ g.T) @ nd.vec(W),  # another vector
        nd.inverse(g @ g.T) @ g,  # nothing beside the square
        nd.inverse(G @ G.T + nd.eye_like(G @ G.T)) @ G,  # a matrix, not a vector
    ],
)
def test_sherman_and_morrison_need_their_vector(expr):
    assert sherman_morrison(expr) is None


def test_it_says_which_matrices_must_have_full_rank():
    rewriting = Rewriting()
    rewriting(nd.inverse(S + loss * (g @ g.T)) @ g)
    assert [line.full_rank for line in rewriting.used] == [(S, S + loss * (g @ g.T))]


@pytest.mark.parametrize(
    ("expr", "known"),
    [
        (nd.exp(loss), True),
        (nd.exp(loss) + loss**2, True),
        (nd.exp(loss) + loss, False),
        (loss**2, False),
        (1 / nd.exp(-loss), True),
        (-nd.exp(loss), False),
    ],
)
def test_what_is_above_zero(expr, known):
    assert positive(expr) is known
