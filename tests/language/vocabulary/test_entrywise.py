"""Functions of entries, beside those of torch."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.nodes.arithmetic import Pow
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import SCALAR

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
