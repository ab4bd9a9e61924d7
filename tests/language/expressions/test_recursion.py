"""State: recursions, their canonical form, their refusals, and the averages built from them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import quickly, random_matrix, refuses, run

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.domains import FRACTION
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import After, Before, Carry, Placeholder, Recursion, placeholders
from normdsl.expressions.shapes import LEFT, MATRIX
from normdsl.expressions.traversal import replace, walk

BETA = Param("beta", FRACTION)
GRADIENTS = [random_matrix(2, 3, seed) for seed in range(6)]
ZERO = torch.zeros(2, 3, dtype=torch.float64)


def equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def loop(step, start=ZERO):
    """Return the states of s ← step(s, g) over the gradients, the first one included."""
    states = [start]
    for g in GRADIENTS:
        states.append(step(states[-1], g))
    return states


# Values, against a literal loop


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.9, 0.999])
def test_exponential_moving_average(beta):
    expected = loop(lambda s, g: beta * s + (1 - beta) * g)[1:]
    equal(run(nd.ema(G, beta), GRADIENTS), expected)
    unbiased = [s / (1 - beta ** (k + 1)) for k, s in enumerate(expected)]
    equal(run(nd.ema(G, beta, debias=True), GRADIENTS), unbiased)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_heavy_ball_is_the_sum(beta):
    expected = loop(lambda s, g: beta * s + g)[1:]
    equal(run(nd.momentum(G, beta, normalized=False), GRADIENTS), expected)


def test_heavy_ball_is_torchs():
    weight = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    steps = []
    for g in GRADIENTS:
        before = weight.detach().clone()
        weight.grad = g.clone()
        optimizer.step()
        steps.append(before - weight.detach())
    equal(run(nd.momentum(G, 0.9, normalized=False), GRADIENTS), steps)


@pytest.mark.parametrize("b", [0.5, 0.95])
def test_nesterov(b):
    """G + b (sum of heavy ball), and (1 − b) times it for the average."""
    states = loop(lambda s, g: b * s + g)[1:]
    sums = [g + b * s for s, g in zip(states, GRADIENTS, strict=True)]
    averages = [(1 - b) * x for x in sums]
    equal(run(nd.momentum(G, b, readout=b * b, normalized=True), GRADIENTS), averages)
    equal(run(nd.momentum(G, b, readout=b * b, normalized=False), GRADIENTS), sums)


def test_lion():
    """Chen et al., arXiv:2302.06675: c = 0.9 m + 0.1 g is read, m ← 0.99 m + 0.01 g is kept."""
    old = loop(lambda s, g: 0.99 * s + 0.01 * g)[:-1]
    expected = [0.9 * s + 0.1 * g for s, g in zip(old, GRADIENTS, strict=True)]
    equal(run(nd.momentum(G, 0.99, readout=0.9), GRADIENTS), expected)


@quickly
@given(st.integers(0, 99), st.integers(0, 100), st.booleans())
def test_two_rate_momentum(b, r, normalized):
    b, r = b / 100, r / 100
    old = loop(lambda s, g: b * s + (1 - b) * g)[:-1]
    gain = 1 if normalized else 1 / (1 - b)
    expected = [(r * s + (1 - r) * g) * gain for s, g in zip(old, GRADIENTS, strict=True)]
    found = run(nd.momentum(G, b, readout=r, normalized=normalized) + (G - G), GRADIENTS)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_accumulation():
    equal(run(nd.accumulate(G), GRADIENTS), loop(lambda s, g: s + g)[1:])
    start = torch.full_like(ZERO, 3.0)
    found = run(nd.accumulate(G, 3 + nd.zeros_like(G)), GRADIENTS)
    equal(found, loop(lambda s, g: s + g, start)[1:])


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_previous_values(lag):
    zeros = [ZERO] * lag
    equal(run(nd.prev(G, lag) + (G - G), GRADIENTS), [*zeros, *GRADIENTS[:-lag]])
    sevens = [torch.full_like(ZERO, 7.0)] * lag
    found = run(nd.prev(G, lag, 7 + nd.zeros_like(G)) + (G - G), GRADIENTS)
    equal(found, [*sevens, *GRADIENTS[:-lag]])


def test_previous_value_of_a_state():
    expected = loop(lambda s, g: s + g)[:-1]
    equal(run(nd.prev(nd.accumulate(G)), GRADIENTS), expected)


def test_the_weights_before_the_first_step_are_those_it_starts_from():
    """Heavy ball: without momentum at the first step, with the last step's after that."""
    rule = nd.functional(nd.optimizer(lambda lr=1.0: W - lr * G + 0.5 * (W - nd.prev(W))))
    w = torch.full((1, 1), 8.0)
    state = rule.init(w)
    walked = []
    for _ in range(3):
        w, state = rule.update(torch.ones(1, 1), state, w)
        walked.append(float(w))
    assert walked == [7.0, 5.5, 3.75]
    first = run(nd.prev(W, 3) + (G - G), GRADIENTS[:2], torch.ones_like(GRADIENTS[0]))
    equal(first, [torch.ones_like(GRADIENTS[0])] * 2)


def test_reading_old_and_new_value():
    expected = loop(lambda s, g: 2 * s + g)
    found = run(
        nd.fix(lambda s: 2 * s + G, nd.zeros_like(G), lambda old, new: new - old), GRADIENTS
    )
    equal(found, [new - old for old, new in pairwise(expected)])


def test_coupled_states_use_each_others_old_values():
    first, second = nd.fix(
        lambda a, b: (a + b + G, a - b), (nd.zeros_like(G), 1 + nd.zeros_like(G))
    )
    a, b, expected = ZERO, torch.ones_like(ZERO), []
    for g in GRADIENTS:
        a, b = a + b + g, a - b
        expected.append(a + 10 * b)
    equal(run(first + 10 * second, GRADIENTS), expected)


def test_nested_recursions():
    expected, s, u = [], ZERO, ZERO
    for g in GRADIENTS:
        s = 0.5 * s + 0.5 * g
        u = 0.9 * u + 0.1 * s
        expected.append(u)
    equal(run(nd.ema(nd.ema(G, 0.5), 0.9), GRADIENTS), expected)


def test_a_recursion_inside_another_may_read_the_outer_state():
    """The inner average sees the outer state as it was before the step."""
    outer = nd.fix(lambda s: 0.5 * s + nd.ema(G + s, 0.9), nd.zeros_like(G))
    expected, s, inner = [], ZERO, ZERO
    for g in GRADIENTS:
        inner = 0.9 * inner + 0.1 * (g + s)
        s = 0.5 * s + inner
        expected.append(s)
    equal(run(outer, GRADIENTS), expected)


def test_initial_value_may_read_the_weights():
    weights = random_matrix(2, 3, 9)
    expected = loop(lambda s, g: s + g, 2 * weights)[1:]
    equal(run(nd.accumulate(G, 2 * W), GRADIENTS, weights), expected)


# Canonical form


def test_equal_recursions_are_equal_whatever_their_variables_are_called():
    first = nd.fix(lambda s: BETA * s + G, nd.zeros_like(G))
    second = nd.fix(lambda other: BETA * other + G, nd.zeros_like(W))
    assert first == second
    assert hash(first) == hash(second)


def test_equal_nested_and_coupled_recursions_are_equal():
    def nested(x):
        return nd.fix(lambda a: nd.fix(lambda b: a + b + x, nd.zeros_like(x)), nd.zeros_like(x))

    def coupled(x):
        return nd.fix(lambda a, b: (a + b, b + x), (nd.zeros_like(x), nd.zeros_like(x)))

    assert nested(G) == nested(G)
    assert coupled(G) == coupled(G)
    assert nested(G) != nested(W)


def test_levels_tell_inner_from_outer_states():
    inner = nd.fix(lambda a: nd.fix(lambda b: a + 2 * b, W), W)
    outer = nd.fix(lambda a: nd.fix(lambda b: 2 * a + b, W), W)
    assert inner != outer
    assert inner.recursion.level == 2
    assert nd.ema(G, 0.9).recursion.level == 1


def test_the_order_of_coupled_states_matters():
    first, second = nd.fix(lambda a, b: (b, a + G), (nd.zeros_like(G), nd.zeros_like(G)))
    assert first != second
    assert first.recursion == second.recursion or first.recursion is second.recursion


def test_old_and_new_value_differ():
    read = nd.fix(lambda s: s + G, W, read=lambda old, new: old * new)
    assert isinstance(read.left, Before)
    assert isinstance(read.right, After)
    assert read.left != read.right


def test_no_placeholder_is_left():
    for x in (nd.ema(nd.ema(G, BETA), 0.9), nd.prev(G, 3), nd.momentum(G, 0.99, readout=0.9)):
        assert placeholders(x) == []
        assert not any(isinstance(y, Placeholder) for y in walk(x))


def test_carried_symbols_have_the_states_facts():
    state = nd.ema(G * G, BETA)
    carries = [x for x in walk(state) if isinstance(x, Carry)]
    assert carries == [state.recursion.carry(0)]
    assert carries[0].facts.nonnegative


def test_walk_lists_each_expression_once_children_first():
    x = nd.ema(G * G, BETA) + G * G
    order = walk(x)
    assert len(set(order)) == len(order)
    assert order[-1] == x
    for node in order:
        assert all(order.index(c) < order.index(node) for c in node.children)


def test_replace_reaches_into_recursions_and_norms():
    x = nd.preconditioned(nd.spectral, hadamard=nd.ema(G * G, BETA)).lmo(BETA * G)
    half = as_expr(0.5)
    expected = nd.preconditioned(nd.spectral, hadamard=nd.ema(G * G, 0.5)).lmo(half * G)
    assert BETA not in walk(replace(x, {BETA: half}))
    assert str(expected) == str(replace(x, {BETA: half})).replace("(1 − ½)", "½")
    assert replace(x, {W: G}) is x


# Facts by induction


def test_facts_that_the_step_keeps_are_known():
    assert nd.ema(G * G, BETA).facts.nonnegative
    assert nd.accumulate(G @ G.T).facts.psd
    assert nd.prev(nd.abs(G)).facts.nonnegative


def test_facts_that_the_step_breaks_are_not():
    assert not nd.accumulate(G).facts.nonnegative
    assert not nd.fix(lambda s: 1 - s, nd.zeros_like(G)).facts.nonnegative
    assert not nd.accumulate(G @ G.T, -nd.eye_like(G @ G.T)).facts.psd
    assert not nd.fix(lambda s: G @ G.T - s, nd.zeros_like(G @ G.T)).facts.psd


def test_facts_of_coupled_states_hold_together():
    zero = nd.zeros_like(G)
    both = nd.fix(lambda a, b: (a + b * b, nd.abs(a) + b), (zero, zero))
    assert all(x.facts.nonnegative for x in both)
    spoiled = nd.fix(lambda a, b: (a + b, b + G), (zero, zero))
    assert not any(x.facts.nonnegative for x in spoiled)


def test_a_root_of_a_state_that_may_turn_negative_is_refused():
    with refuses(nd.DomainError, "raise to the power ½"):
        nd.fix(lambda s: nd.sqrt(s) - 1, nd.zeros_like(G))
    assert nd.fix(lambda s: nd.sqrt(s) + 1, nd.zeros_like(G)).facts.nonnegative


@pytest.mark.parametrize(
    "known", [Facts(low=0.0), Facts(low=1.0), Facts(high=5.0), Facts(symmetric=True)]
)
def test_false_claims_about_a_recursion_are_refused(known):
    with refuses(nd.DeclarationError, "not kept by its own step"):
        Recursion((nd.zeros_like(G),), (G,), 1, (known,))


def test_malformed_recursions_are_refused():
    zero, facts = nd.zeros_like(G), Facts()
    for parts in [((), (), ()), ((zero,), (G, G), (facts,)), ((zero,), (G,), ()),
                  ((zero,), (G @ G.T,), (facts,))]:  # fmt: skip
        inits, bodies, known = parts
        with refuses(nd.DeclarationError):
            Recursion(inits, bodies, 1, known)


def test_a_carried_symbol_cannot_claim_more_than_its_recursion():
    """The body would take a root that nothing justifies."""
    gram = nd.zeros_like(G @ G.T)
    lie = Carry(1, 0, LEFT, Facts(symmetric=True, psd=True))
    with refuses(nd.DeclarationError):
        Recursion((gram,), (nd.matrix_power(lie, 1 / 2) - W @ G.T,), 1, (Facts(),))


# Refusals


@pytest.mark.parametrize("lag", [0, -1, 1.0, "1", None])
def test_lags_that_do_not_lie_in_the_past_are_refused(lag):
    with refuses(nd.DeclarationError, "non-causal recursion", "use a lag of 1 or more"):
        nd.prev(2 * G, lag)


@pytest.mark.parametrize(
    "start",
    [lambda: 2 * nd.ema(G, 0.9), lambda: nd.prev(G) + 1, lambda: nd.accumulate(G) @ G.T @ G],
)
def test_initial_values_that_read_a_state_are_refused(start):
    with refuses(nd.DeclarationError, "non-causal recursion", "initial value depends on a state"):
        nd.accumulate(G, start())


def test_initial_value_that_reads_the_outer_state_is_refused():
    with refuses(nd.DeclarationError, "non-causal recursion"):
        nd.fix(lambda s: nd.accumulate(G, 2 * s), nd.zeros_like(G))


@pytest.mark.parametrize("start", [2 * G, nd.t + nd.zeros_like(G), nd.loss + nd.zeros_like(G)])
def test_initial_values_that_read_a_step_are_refused(start):
    """Before the first step there is no gradient, no loss and no step index."""
    with refuses(nd.DeclarationError, "start from constants, hyper-parameters or W"):
        nd.accumulate(G, start)


def test_a_state_of_another_shape_is_refused():
    with refuses(nd.ShapeError, "state is an m×n", "returns an m×m", "nd.zeros_like"):
        nd.fix(lambda s: s @ G.T, nd.zeros_like(G))
    with refuses(nd.ShapeError, "state is a scalar"):
        nd.fix(lambda s: 0.9 * s + G, 0)


@pytest.mark.parametrize("step", [lambda a, b: a + b, lambda a, b: (a, b, a)])
def test_another_number_of_states_is_refused(step):
    zero = nd.zeros_like(G)
    with refuses(nd.DeclarationError, "a recursion over 2 states"):
        nd.fix(step, (zero, zero))


def test_a_pair_for_one_state_is_refused():
    with refuses(nd.DeclarationError, "its step returns 2 values"):
        nd.fix(lambda s: (s, s), nd.zeros_like(G))


def test_no_state_is_refused():
    with refuses(nd.DeclarationError):
        nd.fix(lambda: (), ())


def test_reading_out_several_states_is_refused():
    zero = nd.zeros_like(G)
    with refuses(nd.DeclarationError, "read out a recursion of several states"):
        nd.fix(lambda a, b: (b, a), (zero, zero), read=lambda old, new: new)


@pytest.mark.parametrize("result", [None, "s", [1]])
def test_a_step_that_returns_no_expression_is_refused(result):
    with refuses(nd.DeclarationError):
        nd.fix(lambda s: result, nd.zeros_like(G))


@pytest.mark.parametrize("beta", [-0.1, 1.5, 2, 2 * nd.t, nd.sum(G), 1 / nd.t + 1])
def test_rates_outside_the_unit_interval_are_refused(beta):
    for use in (nd.ema, nd.momentum):
        with refuses(nd.DomainError, "as the rate of an average", "beta: nd.Fraction"):
            use(G, beta)
    with refuses(nd.DomainError, "as the rate of an average"):
        nd.momentum(G, 0.5, readout=beta)


@pytest.mark.parametrize("beta", [1 - BETA, BETA * BETA, BETA**nd.t, nd.minimum(BETA, 0.5)])
def test_rates_known_to_lie_in_the_unit_interval(beta):
    assert nd.ema(G * G, beta).facts.nonnegative


def test_an_average_that_never_moves_is_refused():
    """At β = 1 the average stays at zero, and its bias correction is 0/0."""
    with refuses(nd.DomainError):
        nd.ema(G, 1, debias=True)


def test_arrays_like_another():
    assert nd.zeros_like(G).shape == MATRIX
    assert nd.eye_like(G @ G.T).shape == LEFT
    with refuses(nd.ShapeError, "an identity matrix like an m×n", "the identity is square"):
        nd.eye_like(2 * G)
    with refuses(nd.ShapeError, "like a scalar"):
        nd.eye_like(nd.sum(G))
