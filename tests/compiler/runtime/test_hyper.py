"""Completing hyper-parameters."""

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import adamw
from normdsl.compiler.runtime.hyper import complete


def test_defaults_are_filled_in():
    assert complete(adamw, {"lr": 1.0}) == {**adamw.defaults, "lr": 1.0}


def test_a_scalar_tensor_passes_unread():
    rate = torch.tensor(0.5)
    assert complete(adamw, {"lr": rate})["lr"] is rate


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "0.1", None, True])
def test_values_outside_the_domain_are_refused(value):
    with pytest.raises(nd.HyperparameterError):
        complete(adamw, {"lr": value})


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(nd.HyperparameterError, match="weight_decay"):
        complete(adamw, {"decay": 0.1})
