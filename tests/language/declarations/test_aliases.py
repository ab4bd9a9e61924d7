"""`betas` for beta1, beta2, …."""

import pytest
from properties import refuses

import normdsl as nd
from normdsl.algorithms import adamw, muon
from normdsl.declarations.aliases import members, spread


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("lr", "beta1", "beta2"), ("beta1", "beta2")),
        (("beta2", "beta3", "beta1"), ("beta1", "beta2", "beta3")),
        (("lr", "beta1"), ()),
        (("beta1", "beta3"), ()),
        (("beta1", "beta2", "betas"), ()),
        ((), ()),
    ],
)
def test_what_betas_stand_for(names, found):
    assert members(names) == found


def test_betas_become_the_hyper_parameters_they_stand_for():
    assert spread(adamw, {"lr": 1, "betas": (0.5, 0.6)}) == {"lr": 1, "beta1": 0.5, "beta2": 0.6}
    assert spread(adamw, {"lr": 1}) == {"lr": 1}
    assert spread(muon, {"betas": (0.5, 0.6)}) == {"betas": (0.5, 0.6)}


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), "ab"])
def test_another_number_of_betas_is_refused(betas):
    with refuses(nd.HyperparameterError, "set betas", "beta1, beta2 together"):
        spread(adamw, {"betas": betas})


def test_none_and_defaults_beside_betas_say_nothing():
    assert spread(adamw, {"betas": None, "beta1": 0.5}) == {"beta1": 0.5}
    told = {"betas": (0.5, 0.6), "beta1": 0.9, "beta2": 0.999}
    assert spread(adamw, told) == {"beta1": 0.5, "beta2": 0.6}


def test_both_names_at_once_are_refused():
    with refuses(nd.HyperparameterError, "beta2 was given as well"):
        spread(adamw, {"betas": (0.9, 0.99), "beta2": 0.9})
