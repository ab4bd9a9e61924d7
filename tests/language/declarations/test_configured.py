"""Rules with hyper-parameters, before they have parameters."""

import pytest

import normdsl as nd
from normdsl import W
from normdsl.algorithms import adamw, muon
from normdsl.declarations.configured import ConfiguredRule


def test_a_rule_called_without_parameters_is_a_choice():
    found = muon(lr=0.1, view=nd.views.flat)
    assert found == ConfiguredRule(muon, {"lr": 0.1}, nd.views.flat)
    assert str(found) == "muon(lr=0.1, view=flat)"
    assert found.group() == {"rule": muon, "lr": 0.1, "view": nd.views.flat}


@pytest.mark.parametrize("options", [{"rate": 0.1}, {"lr": -1.0}, {"momentum": 1.5}])
def test_what_the_rule_cannot_have_is_refused_at_once(options):
    with pytest.raises(nd.HyperparameterError):
        muon(**options)


def test_rules_do_not_nest():
    with pytest.raises(nd.DeclarationError, match="do not nest"):

        @nd.optimizer
        def nested(lr=0.1):
            return adamw(lr=lr)

    with pytest.raises(nd.DeclarationError, match="a ConfiguredRule in an expression"):

        @nd.optimizer
        def added(lr=0.1):
            return W + lr * adamw()
