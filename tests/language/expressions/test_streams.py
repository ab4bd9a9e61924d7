"""The inputs of a declaration."""

import inspect
import pydoc

import pytest
import torch
from moments import definite
from properties import evaluate, random_matrix, refuses, run

import normdsl as nd
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes import Source
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, SCALAR

MOMENTS = [nd.input_moment, nd.output_moment]
STREAMS = [nd.G, nd.W, nd.t, nd.loss, nd.rows, nd.cols, *MOMENTS]


def test_there_is_one_stream_for_each_source():
    assert {x.source for x in STREAMS} == set(Source)
    assert len(set(STREAMS)) == len(STREAMS)


def test_shapes():
    assert [x.shape for x in STREAMS] == [MATRIX, MATRIX, *[SCALAR] * 4, RIGHT, LEFT]


@pytest.mark.parametrize("x", [nd.t, nd.rows, nd.cols], ids=str)
def test_counts_are_at_least_one(x):
    assert x.facts.low == 1


@pytest.mark.parametrize("x", [nd.G, nd.W, nd.loss], ids=str)
def test_nothing_is_known_of_the_others(x):
    assert x.facts == type(x.facts)()


@pytest.mark.parametrize("x", MOMENTS, ids=str)
def test_moments_are_symmetric_and_definite(x):
    assert x.facts == Facts(symmetric=True, psd=True)
    assert x == x.T
    assert nd.matrix_power(x, 1 / 2).shape == x.shape


def test_names():
    assert [str(x) for x in STREAMS] == ["G", "W", "t", "loss", "m", "n", "C_x", "C_g"]
    assert nd.input_moment._repr_latex_() == r"$\displaystyle C_{\mathrm{x}}$"


@pytest.mark.parametrize("x", MOMENTS, ids=str)
def test_moments_are_no_start_of_a_recursion(x):
    with refuses(nd.DeclarationError):
        nd.accumulate(x, x)


def test_values():
    gradient, weights = random_matrix(2, 3, 1), random_matrix(2, 3, 2)
    found = evaluate(nd.W + 10 * nd.rows + 100 * nd.cols + 0 * nd.G + nd.G, gradient, weights)
    torch.testing.assert_close(found, weights + gradient + 20 + 300)


def test_steps_are_counted_from_one():
    found = run(nd.t + (nd.G - nd.G), [random_matrix(1, 1)] * 3)
    assert [x.item() for x in found] == [1, 2, 3]


def test_loss_is_what_is_passed():
    rule = nd.Declaration("probe", (), nd.loss * nd.G)
    one = torch.ones(2, 2, dtype=torch.float64)
    pure = nd.functional(rule, nd.exact)
    assert torch.equal(pure.update(one, pure.init(one), one, loss=2.5)[0], 2.5 * one)


def test_moments_are_what_is_passed():
    rule = nd.Declaration("probe", (), nd.output_moment @ nd.G @ nd.input_moment)
    g, A, S = random_matrix(2, 3), definite(3), definite(2, 1)
    pure = nd.functional(rule, nd.exact)
    new, _ = pure.update(g, pure.init(g), g, input_moment=A, output_moment=S)
    torch.testing.assert_close(new, S @ g @ A)
    assert rule.moments == ("input_moment", "output_moment")
    assert nd.Declaration("half", (), nd.output_moment @ nd.G).moments == ("output_moment",)


def test_help_on_a_stream_says_what_it_is():
    told = {x: pydoc.render_doc(x) for x in (nd.G, nd.W, nd.t, nd.loss, nd.rows, nd.cols)}
    assert "gradient of the loss" in told[nd.G]
    assert len(set(told.values())) == len(told)
    assert inspect.getdoc(type(nd.G)).startswith("An input: the gradient")
