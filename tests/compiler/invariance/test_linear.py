"""Linear functions of states: what is a state of its own, with the same values, and what is not."""

import pytest
import torch
from properties import random_matrix, run

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance.linear import carried_through
from normdsl.expressions.recursion import Before

START = W @ W.T
LINEAR = [
    nd.accumulate(G @ G.T),
    nd.ema(G @ G.T, 0.9),
    nd.prev(nd.accumulate(G @ W.T)),
    nd.fix(lambda s: (1 - 1 / nd.t) * s + (G @ G.T - s / 2) / nd.t, START),
    nd.fix(lambda s: s * nd.sum(nd.abs(G)) + W @ nd.prev(G).T, START),
]
OTHERS = [
    nd.fix(lambda s: s @ s + G @ G.T, START),
    nd.fix(lambda s: s * s + G @ G.T, START),
    nd.fix(lambda s: s * nd.trace(s) + G @ G.T, START),
    nd.fix(lambda s: nd.maximum(s, G @ G.T), START),
    nd.fix(lambda s, r: (s + r, r + G @ G.T), (START, START))[0],
    nd.fix(lambda s: s + nd.prev(s), START),
]


@pytest.mark.parametrize("state", LINEAR, ids=str)
def test_the_trace_of_a_state_is_a_state(state):
    carried = carried_through(state, nd.trace)
    assert carried is not None
    assert isinstance(carried, Before) == isinstance(state, Before)
    streams, weights = [random_matrix(3, 4, seed) for seed in range(4)], random_matrix(3, 4, 9)
    one, two = (torch.stack(run(x, streams, weights)) for x in (nd.trace(state), carried))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("state", OTHERS, ids=str)
def test_what_is_not_linear_is_left(state):
    assert carried_through(state, nd.trace) is None
