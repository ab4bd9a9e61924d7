"""A rule where a class of optimizers, or a name, is asked for."""

import copy
import functools
import inspect
import pickle
import subprocess
import sys

import pytest
import torch
from moments import take_step
from properties import random_matrix
from stepping import parameter
from taking_turns import in_turn
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muon, sgd
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.compiler.runtime.standing import optimizer_class


@nd.optimizer
def declared_here(lr=0.1, beta1=0.9, beta2=0.99):
    """A rule of this module."""
    return W - lr * nd.ema(G, beta1) - lr * nd.ema(G, beta2)


def local():
    @nd.optimizer
    def inside(lr=0.5):
        return W - lr * G

    return inside


ALL = [*in_turn(6).values(), declared_here, local(), adamw.bind(lr=0.1)]


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.name)
def test_a_rule_is_a_subclass_with_a_name_and_a_signature(rule):
    assert issubclass(rule, torch.optim.Optimizer)
    assert issubclass(rule, DeclaredOptimizer)
    assert not issubclass(rule, nn.Module)
    assert not isinstance(rule, torch.optim.Optimizer)
    assert rule.__name__ == rule.name
    found = inspect.signature(rule)
    assert list(found.parameters)[: 1 + len(rule.hyper)] == ["params", *rule.defaults]
    assert found.return_annotation is DeclaredOptimizer
    assert inspect.cleandoc(rule.__doc__) == inspect.cleandoc(rule.doc or type(rule).__doc__)


def test_a_rule_knows_where_it_was_declared():
    assert (adamw.__module__, adamw.__qualname__) == ("normdsl.algorithms.adam", "adamw")
    assert declared_here.__module__ == __name__
    assert local().__qualname__ == "local.<locals>.inside"
    assert adamw.bind(lr=0.1).__module__ == "normdsl.algorithms.adam"
    renamed = adamw.on_gradient(lambda G: nd.clip(G, 1.0), name="clipped")
    assert (renamed.__name__, renamed.__qualname__) == ("clipped", "clipped")
    assert nd.Declaration.__module__ == "normdsl.declaration"
    assert nd.Declaration.__name__ == "Declaration"


def test_the_class_of_declarations_has_a_signature_of_its_own():
    assert list(inspect.signature(nd.Declaration).parameters)[:3] == ["name", "hyper", "update"]


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.name)
def test_the_class_of_a_rule_is_one_and_is_pickled_as_the_rule(rule):
    made = rule.Optimizer
    assert isinstance(made, type)
    assert made is rule.Optimizer
    assert made is pickle.loads(pickle.dumps(made))
    assert made is copy.deepcopy(made)
    assert made.rule == rule
    assert (made.__name__, made.__module__) == (rule.name, rule.__module__)
    assert list(inspect.signature(made).parameters) == list(inspect.signature(rule).parameters)


def test_an_equal_rule_with_other_names_has_another_class():
    def build(name):
        space = {}
        exec(f"def rule(lr=0.1):\n {name} = nd.ema(G, 0.9)\n return W - lr * {name}",
             {"nd": nd, "G": G, "W": W}, space)  # fmt: skip
        return nd.optimizer(space["rule"])

    assert build("a") == build("b")
    assert build("a").Optimizer is not build("b").Optimizer
    kept = build("a").Optimizer
    assert build("a").Optimizer is kept


def test_an_optimizer_is_an_instance_of_its_rule():
    opt = adamw([parameter(2, 2)])
    assert type(opt) is adamw.Optimizer
    assert isinstance(opt, adamw)
    assert not isinstance(opt, muon)
    assert not isinstance(3, adamw)
    again = pickle.loads(pickle.dumps(opt))
    assert type(again) is type(opt)
    assert isinstance(copy.deepcopy(opt), adamw)
    assert optimizer_class(adamw) is adamw.Optimizer


def test_a_class_made_from_it_is_pickled_by_its_name():
    class Mine(adamw.Optimizer):
        """Of a user."""

    Mine.__qualname__ = "Mine"
    globals()["Mine"] = Mine
    try:
        assert pickle.loads(pickle.dumps(Mine)) is Mine
        assert isinstance(Mine([parameter(2, 2)], lr=0.3), adamw)
    finally:
        del globals()["Mine"]


def test_values_are_what_they_were():
    """A place in a module is no part of a value."""
    for again in (pickle.loads(pickle.dumps(adamw)), copy.copy(adamw), copy.deepcopy(adamw)):
        assert again == adamw
        assert hash(again) == hash(adamw)
        assert again.names == adamw.names
        assert again.__module__ == adamw.__module__
    read = nd.from_json(nd.to_json(adamw))
    assert read == adamw
    assert nd.to_json(read) == nd.to_json(adamw)
    assert read.__name__ == "adamw"
    assert adamw.__module__ not in nd.to_json(adamw)


def test_a_pickle_from_before_is_read():
    old = object.__new__(nd.Declaration)
    state = adamw.__getstate__()
    old.__setstate__({k: x for k, x in state.items() if k not in ("module", "qualname")})
    assert old == adamw
    assert old.__qualname__ == "adamw"


def test_torch_is_loaded_when_it_is_needed():
    code = (
        "import sys, inspect; from normdsl.algorithms import adamw; adamw.__name__, adamw.__doc__;"
        "assert 'torch' not in sys.modules; inspect.signature(adamw); import torch;"
        "assert issubclass(adamw, torch.optim.Optimizer)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_applied_later():
    made = functools.partial(adamw, lr=0.5)([parameter(2, 2)])
    assert made.param_groups[0]["lr"] == 0.5
    assert adamw(lr=0.5, view=nd.views.flat)([parameter(2, 2)], lr=0.1).param_groups[0]["lr"] == 0.1


# Choices called later, and factories that are handed a model


def test_a_choice_called_on_parameters_makes_the_optimizer():
    p = parameter(2, 2)
    opt = muon(lr=0.3, schedule=nd.exact)([p], nonfinite="skip")
    assert isinstance(opt, muon)
    assert opt.nonfinite == "skip"
    assert (opt.param_groups[0]["lr"], opt.param_groups[0]["schedule"]) == (0.3, nd.exact)


def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2))
    net[0].weight.requires_grad_(False)
    return net


def test_a_choice_called_on_a_model_takes_all_of_it():
    net = model()
    opt = adamw()(net, lr=0.3, betas=(0.5, 0.6), maximize=True)
    (group,) = opt.param_groups
    assert group["param_names"] == [n for n, p in net.named_parameters() if p.requires_grad]
    assert (group["lr"], group["betas"], group["maximize"]) == (0.3, (0.5, 0.6), True)


def test_a_rule_that_knows_matrices_takes_the_hidden_ones_of_a_model():
    opt = muon()(model(), lr=0.3, nonfinite="skip")
    rules = {name: g["rule"] for g in opt.param_groups for name in g["param_names"]}
    assert rules["2.weight"] == muon
    assert rules["2.bias"] == rules["3.weight"] == adamw
    assert opt.nonfinite == "skip"
    assert next(g for g in opt.param_groups if g["rule"] == muon)["lr"] == 0.3


def test_a_rule_itself_still_asks_for_parameters():
    with pytest.raises(nd.HyperparameterError, match="the parameters of a model, not the model"):
        adamw(model())


# Places that ask


def test_a_class_steps_as_the_rule_does():
    for rule in (adamw, sgd):
        p, q = parameter(3, 2), parameter(3, 2)
        one, two = rule([p], lr=0.1), rule.Optimizer([q], lr=0.1)
        for k in range(3):
            p.grad = random_matrix(3, 2, k)
            q.grad = p.grad.clone()
            take_step(one, rule)
            take_step(two, rule)
        assert torch.equal(p, q)


def test_an_optimizer_for_each_parameter_in_the_backward_pass():
    from torch.distributed.optim import _apply_optimizer_in_backward

    net = nn.Linear(3, 2)
    before = net.weight.detach().clone()
    _apply_optimizer_in_backward(adamw, net.parameters(), {"lr": 0.1})
    net(torch.ones(4, 3)).sum().backward()
    assert not torch.equal(net.weight, before)
