"""Groups by role: every trained parameter in one, overrides, refusals that name the parameter."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import CNN, GPT, ZOO, MoE, ViT, mlp
from properties import assert_four_parts, quickly
from torch import nn

import normdsl as nd
from normdsl.algorithms import adamw, lion, muon, sgd
from normdsl.compiler.routing.roles import assigned
from normdsl.compiler.routing.route import routed

ALL = {"hidden": muon(lr=0.01), "embedding": lion, "head": sgd, "vector": adamw}


def by_name(groups):
    """Return the group of each parameter, without its parameters."""
    return {
        name: {k: v for k, v in group.items() if k != "params"}
        for group in groups
        for name, _ in group["params"]
    }


def assert_a_partition(model, groups):
    """Check that every trained parameter is in one group, under its own name, and no other."""
    placed = [(name, id(p)) for group in groups for name, p in group["params"]]
    trained = [(name, id(p)) for name, p in model.named_parameters() if p.requires_grad]
    assert sorted(placed) == sorted(trained)
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_is_in_one_group(name):
    model = ZOO[name][0]()
    assert_a_partition(model, routed(model, ALL))


PATTERNS = st.sampled_from(["weight", "bias", r"\d", "^[a-g]", "h"])


@quickly
@given(
    st.sampled_from(list(ZOO)),
    st.lists(st.tuples(PATTERNS, st.booleans()), max_size=2, unique_by=lambda x: x[0]),
    st.sets(st.integers(0, 9), max_size=4),
)
def test_the_first_pattern_decides_and_every_trained_parameter_has_one_group(name, drawn, frozen):
    model = ZOO[name][0]()
    for k, p in enumerate(model.parameters()):
        p.requires_grad_(k not in frozen)
    told = {pattern: lion if own else "vector" for pattern, own in drawn}
    wanted = {}
    for x in assigned(model):
        first = next((k for k in told if any(re.search(k, n) for n in x.names)), None)
        if not x.frozen:
            wanted[x.name] = first, told.get(first, x.role)
    followed = {pattern for pattern, _ in wanted.values()}
    if told.keys() <= followed and "hidden" in {role for _, role in wanted.values()}:
        groups = routed(model, ALL, told)
        assert_a_partition(model, groups)
        as_declared = {role: getattr(rule, "rule", rule) for role, rule in ALL.items()}
        for parameter, group in by_name(groups).items():
            what = wanted[parameter][1]
            assert group["rule"] is (as_declared[what] if isinstance(what, str) else what)
    else:
        with pytest.raises(nd.HyperparameterError, match=r"override the param|take no parameter"):
            routed(model, ALL, told)


def test_groups_say_role_rule_view_and_hyper_parameters():
    groups = routed(CNN(), ALL)
    assert by_name(groups)["stem.weight"] == {
        "name": "hidden (flat)",
        "rule": muon,
        "lr": 0.01,
        "view": nd.views.flat,
    }
    assert by_name(groups)["fc.weight"] == {"name": "head", "rule": sgd}
    assert [group["name"] for group in groups] == [
        "hidden (flat)",
        "vector",
        "hidden (4 blocks of rows)",
        "hidden (12 blocks of rows)",
        "hidden (swapped)",
        "hidden (split 3+3 of axis 0, each swapped)",
        "head",
    ]


def test_tied_weights_are_in_the_group_of_embeddings():
    found = by_name(routed(GPT(), {"hidden": muon, "embedding": lion, "vector": adamw}))
    assert found["wte.weight"] == {"name": "embedding", "rule": lion}
    assert "lm_head.weight" not in found


def test_the_first_override_that_is_found_counts():
    told = {r"blocks\.0\.": sgd(lr=0.5), "qkv": nd.views.split(8, 8, 8), "down": "vector"}
    found = by_name(routed(GPT(), ALL | {"head": sgd}, told))
    assert found["blocks.0.qkv.weight"] == {"name": r"/blocks\.0\./", "rule": sgd, "lr": 0.5}
    assert found["blocks.0.ln1.bias"]["rule"] is sgd
    assert found["blocks.1.down.weight"] == {"name": "vector", "rule": adamw}
    assert found["blocks.1.proj.weight"] == {"name": "hidden", "rule": muon, "lr": 0.01}


def test_an_override_may_be_a_view():
    told = {r"qkv\.weight": nd.views.split(8, 8, 8)}
    found = by_name(routed(GPT(), ALL, told))["blocks.1.qkv.weight"]
    assert found["view"] == nd.views.split(8, 8, 8)
    assert found["rule"] is muon
    assert found["name"] == "hidden (split 8+8+8 of axis 0)"


def test_an_override_finds_a_tied_weight_by_each_of_its_names():
    found = by_name(routed(GPT(), ALL, {"^lm_head": sgd}))
    assert found["wte.weight"]["rule"] is sgd


def test_a_view_of_the_choice_comes_before_that_of_the_module_and_after_an_override():
    rules = {**ALL, "hidden": muon(view=nd.views.flat)}
    told = {r"up\.weight": nd.views.swapped}
    found = by_name(routed(CNN(), rules, told))
    assert found["grouped.weight"]["view"] == nd.views.flat
    assert found["up.weight"]["view"] == nd.views.swapped


def test_an_override_may_be_a_rule_with_a_view_and_a_schedule():
    told = {"grouped.w": muon(view=nd.views.flat, schedule=nd.exact), "depthwise.w": muon}
    found = by_name(routed(CNN(), ALL, told))
    assert found["grouped.weight"]["view"] == nd.views.flat
    assert found["grouped.weight"]["schedule"] is nd.exact
    assert found["depthwise.weight"]["view"] == nd.views.heads(12)


def test_an_override_called_like_a_role_is_not_that_role():
    found = by_name(routed(ViT(), ALL, {"head": lion(lr=0.1)}))
    assert found["head.weight"]["name"] == found["head.bias"]["name"] == "/head/"


def test_frozen_parameters_are_left_out():
    model = mlp(4, 3, 2)
    model[0].weight.requires_grad_(False)
    groups = routed(model, {"head": sgd, "vector": adamw})
    assert "0.weight" not in by_name(groups)
    assert_a_partition(model, groups)


@pytest.mark.parametrize(
    ("model", "rules", "overrides", "said"),
    [
        (mlp(4, 3, 2), {"hidden": muon}, {}, r"head and vector\n.*head: 2\.weight; vector: 0"),
        (mlp(4, 3, 2), {"hidden": muon, "head": sgd}, {}, r"for vector\n.*: 0\.bias, 2\.bias"),
        (nn.LayerNorm(3), ALL, {}, "would take no parameter"),
        (mlp(4, 3, 2), ALL, {"conv": sgd}, "no parameter's name contains it"),
        (mlp(4, 3, 2), ALL, {"0": sgd, r"0\.bias": lion}, "earlier patterns take all it finds"),
        (mlp(4, 3, 2), ALL, {"0": "matrix"}, "role matrix"),
        (mlp(4, 3, 2), ALL, {"(": sgd}, "not a regular expression"),
        (mlp(4, 3, 2), ALL, {"0": torch.optim.SGD}, "a type is not a rule"),
        (mlp(4, 3, 2), {**ALL, "head": 0.1}, {}, "give head to 0.1"),
        (list(mlp(4, 2).parameters()), ALL, {}, "route a list"),
    ],
)
def test_what_would_apply_to_nothing_is_refused(model, rules, overrides, said):
    with pytest.raises(nd.HyperparameterError, match=said) as told:
        routed(model, rules, overrides)
    assert_four_parts(told.value)


@pytest.mark.parametrize(
    ("rules", "overrides", "said"),
    [
        ({**ALL, "vector": muon}, {}, r"route first\.bias, a vector of shape \(6,\), to muon"),
        (ALL, {r"gate_up_bias": nd.views.heads(4)}, r"route experts\.gate_up_bias, .*\n.*blocks"),
        (ALL, {r"last\.bias": "hidden"}, r"route last\.bias, a hidden of shape \(2,\), to muon"),
    ],
)
def test_a_parameter_that_its_rule_cannot_take_is_named(rules, overrides, said):
    with pytest.raises(nd.GradientError, match=said) as told:
        routed(MoE(), rules, overrides)
    assert_four_parts(told.value)


def test_a_head_that_is_made_before_the_body_goes_to_the_rule_of_heads():
    model = nn.ModuleDict({"head": nn.Linear(8, 5), "body": mlp(3, 8, 8)})
    found = by_name(routed(model, ALL))
    assert found["head.weight"]["name"] == "head"
    assert found["body.2.weight"]["name"] == "hidden"


@pytest.mark.parametrize(
    ("told", "said"), [({"view": "flat"}, "view"), ({"schedule": "fast"}, "schedule")]
)
def test_settings_of_another_kind_are_refused(told, said):
    with pytest.raises(nd.HyperparameterError, match=f"a str is not a {said}") as error:
        nd.route(mlp(2, 2, 2), muon(**told))
    assert_four_parts(error.value)
