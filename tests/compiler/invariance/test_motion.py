"""A condition under which the gradient no longer moves the weights is no way out."""

import pytest

import normdsl as nd
from normdsl import G, W, t
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.prove import idle_parameters, leaves_a_step
from normdsl.compiler.verdicts.check import check
from normdsl.expressions.nodes.constants import as_expr


@nd.optimizer
def distance_over_gradients(first=1e-6):
    start = nd.fix(lambda s: s, W)
    far = nd.fix(lambda r: nd.maximum(r, nd.frobenius.value(W - start)), first)
    return W - far * G / nd.sqrt(nd.accumulate(nd.sum(G * G)))


@nd.optimizer
def at_least(first=1e-6):
    start = nd.fix(lambda s: s, W)
    far = nd.running_max(nd.frobenius.value(W - start))
    return W - nd.maximum(far, first) * nd.sign(G)


@nd.optimizer
def coupled(first=1e-6):
    def step(d, s):
        s = s + d * G
        return nd.maximum(d, nd.frobenius.value(s)), s

    d, _ = nd.fix(step, (first, nd.zeros_like(G)))
    return W - d * G


@nd.optimizer
def no_momentum_left(first=1.0, lr=0.1):
    m = nd.fix(lambda m: 0.9 * m + first * G, nd.zeros_like(G))
    return W - lr * m * nd.sum(G * G)


@nd.optimizer
def towards_a_vertex(first=1.0):
    vertex = first * nd.spectral.lmo(G)
    length = nd.minimum(nd.inner(W - vertex, G) / nd.sum((W - vertex) ** 2), 1)
    return W + length * (vertex - W)


@nd.optimizer
def ball(first=1.0):
    return W + 2 / (t + 2) * ((first * nd.max_entry).lmo(G) - W)


@nd.optimizer
def difference(first=1.0, second=2.0):
    return W - (first - second) * nd.sign(G)


@nd.optimizer
def decayed(first=0.1, lr=0.1):
    return (1 - first) * W - lr * G


STILL = [distance_over_gradients, at_least, coupled, no_momentum_left, towards_a_vertex, ball]


@pytest.mark.parametrize("rule", STILL, ids=lambda rule: rule.name)
def test_a_hyper_parameter_without_which_nothing_moves_is_idle(rule):
    assert "first" in idle_parameters(rule)
    for group in groups.ALL:
        assert "first = 0" not in check(rule, group, witnesses=False).answer


@pytest.mark.parametrize("rule", STILL[:4], ids=lambda rule: rule.name)
def test_the_runs_stand_still_indeed(rule):
    torch = pytest.importorskip("torch")
    pure = nd.functional(rule)
    weights = torch.randn(3, 4, dtype=torch.float64)
    state = pure.init(weights, first=0.0)
    moved = weights
    for _ in range(4):
        moved, state = pure.update(torch.randn_like(weights), state, moved, first=0.0)
        assert torch.equal(moved.nan_to_num(0.0), weights) or not torch.isfinite(moved).all()


def test_equal_hyper_parameters_may_leave_no_step_either():
    first = difference.hyperparameter("first")
    equal = as_expr(nd.expressions.nodes.Param(first.name, first.domain))
    assert not leaves_a_step(difference, {"second": equal})
    assert leaves_a_step(difference, {"second": as_expr(0)})


def test_what_leaves_a_step_stays_a_way_out():
    assert "first" not in idle_parameters(decayed)
    assert check(decayed, "translation", witnesses=False).answer == "invariant if first = 0"
