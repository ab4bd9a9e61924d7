"""Folding a graph after symbols were replaced by numbers."""

import pytest
from properties import evaluate, random_matrix

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.folding import fold
from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow
from normdsl.expressions.nodes.constants import Constant, as_expr

ZERO, ONE, TWO = as_expr(0), as_expr(1), as_expr(2)


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        (Add(G, ZERO), G),
        (Mul(ONE, G), G),
        (Mul(ZERO, G), nd.zeros_like(G)),
        (Pow(G, ONE), G),
        (Pow(TWO, as_expr(3)), as_expr(8)),
        (Add(TWO, ONE), as_expr(3)),
        (Add(W, Mul(Mul(ZERO, TWO), G)), W),
        (Mul(Add(ONE, Mul(as_expr(-1), ZERO)), W), W),
        (nd.abs(Add(G, ZERO)), nd.abs(G)),
        (nd.spectral.lmo(Mul(ONE, G)), nd.spectral.lmo(G)),
        (nd.ema(Mul(ONE, G), 0.9), nd.ema(G, 0.9)),
        (Mul(ONE, G).T, G.T),
        (nd.matrix_power(Mul(ONE, G @ G.T), 0.5), nd.matrix_power(G @ G.T, 0.5)),
    ],
)
def test_folds(raw, folded):
    assert fold(raw, {}) == folded


@pytest.mark.parametrize(
    "x", [G, W - 2 * G, nd.ema(G, 0.9), nd.algorithms.adam.update, nd.algorithms.muon.update]
)
def test_what_is_folded_already_does_not_change(x):
    assert fold(x, {}) == x
    assert fold(x, {}).where == x.where


def test_folding_keeps_lines():
    kept = Mul(ONE, G * W) + W
    assert fold(kept, {}).where == kept.where
    changed = Add(Mul(TWO, TWO), G)
    assert fold(changed, {}).where == changed.where


def test_transposes_are_folded_like_the_rest():
    """Otherwise Xᵀ X is no Gram matrix any more once X has become a constant."""
    gram = Mul(ZERO, G).T @ Mul(ZERO, G)
    assert gram.facts.psd
    assert fold(gram, {}).facts.psd


def test_first_matrix_powers_are_folded_like_the_rest():
    gram = G @ G.T
    assert fold(nd.expressions.nodes.MatrixPower(gram, ONE), {}) == gram


def test_folding_keeps_the_value():
    raw = Add(Mul(Add(ONE, ONE), Pow(Mul(ONE, G), TWO)), Mul(ZERO, W))
    g, w = random_matrix(2, 3, 1), random_matrix(2, 3, 2)
    assert (evaluate(raw, g, w) - evaluate(fold(raw, {}), g, w)).abs().max() < 1e-12


def test_constants_keep_their_shape():
    assert fold(Mul(ZERO, G), {}) == Constant(ZERO.value, G.shape)


def test_what_is_left_without_a_hyper_parameter_is_found_once_if_it_is_smaller():
    @nd.optimizer
    def decayed(lr=0.1, decay=0.1, scale: nd.Positive = 1.0):
        return W - lr * (G + decay * W) / scale

    lr, decay, _ = decayed.zeroed.params(decayed.update)
    left = decayed.zeroed.smaller(decayed.update, decay)
    assert left == decayed.bind(decay=0).update
    assert decayed.zeroed.smaller(decayed.update, decay) is left
    assert decayed.zeroed.smaller(decayed.update, lr) == W
    assert decayed.zeroed.smaller(G + W, lr) is None
