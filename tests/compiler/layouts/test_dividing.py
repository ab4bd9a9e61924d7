"""Divisors: whether finite values may make infinite ones, with hyper-parameters at hand."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.layouts.stepper import stepper


@nd.optimizer
def damped(lr=0.1, eps: nd.NonNegative = 0.1, delta: nd.NonNegative = 0.0):
    return W - lr * G / (nd.ema(nd.abs(G), 0.9) + eps) - lr * nd.log(nd.abs(G) + delta + eps)


def test_a_positive_epsilon_keeps_a_divisor_from_zero():
    divisors = stepper(damped, nd.Schedule()).divisors
    values = {"lr": 0.1, "eps": 1e-8, "delta": 0.0}
    assert not divisors.may_vanish(values)
    assert divisors.may_vanish({**values, "eps": 0.0})
    assert divisors.may_vanish({**values, "eps": torch.tensor(0.1)})


def test_rules_without_divisors_never_divide():
    assert not stepper(nd.algorithms.adamw, nd.Schedule()).divisors.may_vanish({})


def test_a_division_by_zero_changes_nothing_whatever_epsilon_was_before():
    p = nn.Parameter(torch.ones(2, 2))
    opt = damped([p])
    p.grad = torch.zeros(2, 2)
    opt.step()
    opt.param_groups[0]["eps"] = 0.0
    before = p.detach().clone()
    with pytest.raises(nd.GradientError, match="nothing was changed"):
        opt.step()
    assert torch.equal(p, before)
