"""Completing hyper-parameters."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from properties import assert_four_parts

import normdsl as nd
from normdsl.algorithms import adamw
from normdsl.compiler.layouts.hyper import complete


def test_defaults_are_filled_in():
    assert complete(adamw, {"lr": 1.0}) == {**adamw.defaults, "lr": 1.0}


def test_a_scalar_tensor_passes_unread():
    rate = torch.tensor(0.5)
    assert complete(adamw, {"lr": rate})["lr"] is rate


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "0.1", None, True])
def test_values_outside_the_domain_are_refused(value):
    with pytest.raises(nd.HyperparameterError):
        complete(adamw, {"lr": value})


@pytest.mark.parametrize("axes", range(1, 5))
def test_a_tensor_of_one_number_steps_like_one_without_axes(axes):
    found = []
    for rate in (torch.tensor(0.1), torch.full((1,) * axes, 0.1)):
        p = torch.nn.Parameter(torch.ones(2, 2))
        opt = adamw([p], lr=rate)
        p.grad = torch.ones(2, 2)
        opt.step()
        found.append(p.detach())
    assert torch.equal(*found)


def test_a_tensor_with_axes_still_shares_its_memory():
    rate = torch.full((1,), 0.5)
    kept = complete(adamw, {"lr": rate})["lr"]
    rate.fill_(0.25)
    assert kept.shape == ()
    assert kept == 0.25


@pytest.mark.parametrize(
    "value", [torch.tensor(1j), torch.tensor(True), torch.ones(2), torch.ones(0)], ids=str
)
def test_tensors_that_are_not_one_real_number_are_refused(value):
    with pytest.raises(nd.HyperparameterError, match="is one real number") as told:
        adamw([torch.nn.Parameter(torch.ones(2, 2))], lr=value)
    assert_four_parts(told.value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1), Fraction(1, 2)])
def test_numbers_of_every_class_become_those_of_python(value):
    assert type(complete(adamw, {"lr": value})["lr"]) is float
    (group,) = adamw([torch.nn.Parameter(torch.ones(2, 2))], lr=value).param_groups
    assert type(group["lr"]) is float
    assert group["lr"] == value


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(nd.HyperparameterError, match="weight_decay"):
        complete(adamw, {"decay": 0.1})
