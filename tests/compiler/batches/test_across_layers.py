"""What layers share: the same for all rules and schedules, and with the same random numbers."""

import pytest
import torch
from stepping import moved, parameter, train, values
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import (
    sgd,
    sgd_momentum,
)
from normdsl.compiler.lowering import program

TOTAL = nd.over_layers(nd.frobenius, nd.lp(2))


@nd.optimizer
def averaged(lr=0.1, beta: nd.Fraction = 0.9):
    return W + lr * TOTAL.lmo(nd.ema(G, beta))


def test_a_random_draw_is_the_same_in_what_layers_share_and_in_the_step():
    """Once: A survey of layers draws anew, so the norm is that of another matrix than the step's.

    The step is g / ‖g‖ over all layers with g = G + noise: its length is 1.
    """

    @nd.optimizer
    def noisy(lr=1.0):
        g = G + nd.normal_like(G)
        return W - lr * g * nd.reciprocal(TOTAL.value(g))

    params = [parameter(4, 3), parameter(3, 4)]
    before = values(params)
    train(noisy(params))
    assert sum(x**2 for x in moved(params, before)) == pytest.approx(1)


def test_a_schedule_of_one_group_does_not_change_what_layers_are():
    """Once: A rule over layers falls apart by schedule, which may change rounding only."""

    def lengths(schedule):
        params = [parameter(4, 3), parameter(3, 4)]
        before = values(params)
        second = {"params": params[1:], "schedule": schedule}
        train(averaged([{"params": params[:1]}, second], lr=1.0))
        return moved(params, before)

    alike = nd.Schedule(state=dict.fromkeys(_states(averaged), "float64"))
    assert lengths(alike) == pytest.approx(lengths(nd.Schedule()))


def _states(rule):
    return [f.name for f in program.lower(rule, nd.Schedule()).fields]


def test_a_global_clip_in_a_route_is_global():
    """Once: Clip over layers clips each rule's parameters apart, so that lengths add up.

    Its docstring says "all parameters that step together", and that it is clip_grad_norm_.
    """
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).double()

    def clipped(rule):
        return rule.on_gradient(lambda g: nd.clip(g, 1.0, over="layers"))(lr=1.0)

    rules = {"hidden": clipped(sgd), "head": clipped(sgd), "vector": clipped(sgd_momentum)}
    before = values(model.parameters())
    train(nd.route(model, **rules))
    assert sum(x**2 for x in moved(model.parameters(), before)) <= 1 + 1e-9


def test_a_skipped_layer_is_as_one_without_gradient():
    """Once: A skipped layer's old momentum still counts in what the others share."""

    def others(bad):
        params = [parameter(4, 3), parameter(3, 4)]
        opt = train(averaged(params, nonfinite="skip"), 3)
        params[1].grad = None if bad is None else torch.full((3, 4), bad).double()
        opt.step()
        return params[0].detach()

    torch.testing.assert_close(others(float("nan")), others(None))
