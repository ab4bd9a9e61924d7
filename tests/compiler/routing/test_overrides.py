"""Overrides: what is legal, which comes first, and what is refused."""

import pytest
import torch
from models import GPT, mlp
from properties import assert_four_parts

import normdsl as nd
from normdsl.algorithms import lion, sgd
from normdsl.compiler.routing.overrides import checked, first, require_use
from normdsl.compiler.routing.roles import assigned
from normdsl.declarations.configured import ConfiguredRule


def test_rules_become_choices_and_roles_and_views_stay():
    told = {"a": sgd, "b": lion(lr=0.1), "c": "head", "d": nd.views.stack}
    assert checked(told) == {
        "a": ConfiguredRule(sgd),
        "b": ConfiguredRule(lion, {"lr": 0.1}),
        "c": "head",
        "d": nd.views.stack,
    }


def test_the_first_pattern_that_is_in_a_name_of_the_parameter_counts():
    tied = assigned(GPT())[0]
    assert first(checked({"blocks": sgd, "^lm_head": sgd, "wte": lion}), tied) == "^lm_head"
    assert first(checked({"wte": lion, "^lm_head": sgd}), tied) == "wte"
    assert first(checked({"blocks": sgd}), tied) is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"0": "matrix"}, "there is no such role"),
        ({"(": sgd}, "not a regular expression"),
        ({"0": torch.optim.SGD}, "a type is not a rule"),
        ({"0": None}, "None is not a rule"),
        ({5: sgd}, "not a regular expression for text"),
        ({b"0": sgd}, "not a regular expression for text"),
        ({None: sgd}, "not a regular expression for text"),
        (["0"], "a list does not say what holds for which names"),
        ("0", "a str does not say what holds for which names"),
        ({"0": sgd(view="flat")}, "is not a view"),
        ({"0": sgd(schedule="fast")}, "is not a schedule"),
    ],
)
def test_what_is_no_override_is_refused(overrides, said):
    with pytest.raises(nd.HyperparameterError, match=said) as told:
        checked(overrides)
    assert_four_parts(told.value)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("conv", "no parameter's name contains it"),
        (r"0\.bias", "those it finds are frozen"),
        (r"2\.bias", "earlier patterns take all it finds"),
    ],
)
def test_an_override_that_no_parameter_follows_is_refused(pattern, said):
    model = mlp(4, 3, 2)
    model[0].bias.requires_grad_(False)
    told = checked({"2": lion, pattern: sgd})
    require_use(told, {"2", pattern, None}, assigned(model))
    with pytest.raises(nd.HyperparameterError, match=said) as error:
        require_use(told, {"2", None}, assigned(model))
    assert_four_parts(error.value)
