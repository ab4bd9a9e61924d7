"""Keys of parameter groups: ours, aliases, those of others, and typos."""

import copy
import pickle

import pytest
import torch
from properties import assert_four_parts
from stepping import parameter
from torch.optim import lr_scheduler

import normdsl as nd
from normdsl.algorithms import adamw, lion, muon, signum
from normdsl.compiler.layouts.keys import Group

# `betas` in a group


def group():
    return Group(lr=0.1, beta1=0.9, beta2=0.99)


def test_betas_are_read_and_written_through():
    told = group()
    assert told["betas"] == (0.9, 0.99)
    assert "betas" in told
    told["betas"] = (0.5, *told["betas"][1:])
    assert dict(told) == {"lr": 0.1, "beta1": 0.5, "beta2": 0.99}
    told["beta2"] = 0.6
    assert told.get("betas") == (0.5, 0.6)
    told.update(betas=(0.1, 0.2))
    assert told.setdefault("betas", (0, 0)) == (0.1, 0.2)
    assert list(told) == ["lr", "beta1", "beta2"]


def test_a_group_without_two_rates_has_no_betas():
    told = Group(lr=0.1, beta1=0.9)
    assert "betas" not in told
    assert told.get("betas") is None
    with pytest.raises(KeyError):
        told["betas"]
    told["betas"] = (1, 2)
    assert told["betas"] == (1, 2)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, Group.copy,
                                    lambda x: pickle.loads(pickle.dumps(x))])  # fmt: skip
def test_a_copied_group_has_betas_of_its_own(copied):
    told = group()
    other = copied(told)
    other["betas"] = (0.1, 0.2)
    assert type(other) is Group
    assert told["betas"] == (0.9, 0.99)
    assert other["beta1"] == 0.1


def test_another_number_of_betas_is_refused_by_the_step():
    p = parameter(2, 2)
    opt = adamw([p])
    opt.param_groups[0]["betas"] = (0.9,)
    with pytest.raises(nd.HyperparameterError, match="beta1, beta2 together"):
        opt.step()


CYCLES = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=10),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
}


@pytest.mark.parametrize("make", CYCLES.values(), ids=CYCLES.keys())
def test_schedulers_that_cycle_the_momentum_drive_us_as_they_drive_torch(make):
    ours, theirs = parameter(3, 2), parameter(3, 2)
    with torch.no_grad():
        theirs.copy_(ours)
    opts = adamw([ours], lr=0.05), torch.optim.AdamW([theirs], lr=0.05)
    schedules = [make(opt) for opt in opts]
    for step in range(7):
        ours.grad = torch.randn_like(ours)
        theirs.grad = ours.grad.clone()
        for opt, schedule in zip(opts, schedules, strict=True):
            opt.step()
            schedule.step()
        mine, other = (opt.param_groups[0] for opt in opts)
        assert mine["betas"] == pytest.approx(other["betas"])
        assert mine["beta1"] == mine["betas"][0]
        if step == 3:
            opts[0].load_state_dict(copy.deepcopy(opts[0].state_dict()))
    torch.testing.assert_close(ours, theirs)


def test_what_all_groups_of_several_rules_have_can_be_turned():
    params = [parameter(2, 2), parameter(2, 2)]
    model = torch.nn.ParameterList(params)
    opt = nd.route(model, hidden=lion, vector=adamw, overrides={"0": adamw})
    assert {g["rule"] for g in opt.param_groups} == {lion, adamw}
    assert opt.declaration is None
    schedule = lr_scheduler.OneCycleLR(opt, 0.1, total_steps=10)
    schedule.step()
    assert all(g["beta1"] == g["betas"][0] < 0.95 for g in opt.param_groups)
    with pytest.raises(ValueError, match="momentum or beta1"):
        lr_scheduler.OneCycleLR(nd.route(model, hidden=muon, overrides={"0": adamw}), 0.1, 10)


def test_betas_are_taken_wherever_hyper_parameters_are():
    made = [
        adamw([parameter(2, 2)], betas=(0.5, 0.6)),
        adamw([{"params": [parameter(2, 2)], "betas": (0.5, 0.6)}]),
        muon([{"params": [parameter(2, 2)], "rule": adamw(betas=[0.5, 0.6])}]),
        muon([{"params": [parameter(2, 2)], "rule": adamw, "betas": (0.5, 0.6)}]),
    ]
    assert [opt.param_groups[0]["betas"] for opt in made] == [(0.5, 0.6)] * 4
    assert "betas" in made[0].defaults
    w = torch.ones(2)
    pure = nd.functional(adamw)
    one, _ = pure.update(w, pure.init(w), w, betas=(0.5, 0.6))
    two, _ = pure.update(w, pure.init(w), w, beta1=0.5, beta2=0.6)
    assert torch.equal(one, two)


def test_a_saved_group_has_one_truth():
    opt = adamw([parameter(2, 2)], betas=(0.5, 0.6))
    (saved,) = opt.state_dict()["param_groups"]
    assert "betas" not in saved
    assert (saved["beta1"], saved["beta2"]) == (0.5, 0.6)
    for other in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert other.param_groups[0]["betas"] == (0.5, 0.6)


# Keys of others, and typos

OTHERS = [
    "lr_mult",
    "weight_decay_mult",
    "decay_mult",
    "layer_decay",
    "layer_id",
    "counter",
    "rho",
    "adaptive",
    "k",
    "alpha_slow",
    "slow_params",
    "role",
    "tag",
    "is_last_layer",
    "foreach",
    "fused",
    "min_lr",
    "base_lr",
    "last_lr",
    "use_muon",
    "train_mode",
]


@pytest.mark.parametrize("key", OTHERS)
@pytest.mark.parametrize("rule", [adamw, muon, signum], ids=lambda r: r.name)
def test_keys_of_others_pass_and_stay(rule, key):
    p = parameter(2, 2)
    opt = rule([{"params": [p], key: "theirs"}])
    p.grad = torch.ones_like(p)
    opt.step()
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert opt.param_groups[0][key] == "theirs"


TYPOS = {
    "weight_decya": "weight_decay",
    "weightdecay": "weight_decay",
    "Weight_Decay": "weight_decay",
    "learning_rate": "lr",
    "LR": "lr",
    "lrate": "lr",
    "beta_1": "beta1",
    "beta3": "beta",
    "beta": "beta",
    "epsilon": "eps",
    "maximise": "maximize",
    "shedule": "schedule",
    "capturable": "an option of an optimizer",
}


@pytest.mark.parametrize(("key", "meant"), TYPOS.items(), ids=TYPOS.keys())
def test_a_name_that_was_to_be_one_of_ours_is_refused(key, meant):
    with pytest.raises(nd.HyperparameterError, match=meant) as told:
        adamw([{"params": [parameter(2, 2)], key: 0.1}])
    assert_four_parts(told.value)
    opt = adamw([parameter(2, 2)])
    opt.param_groups[0][key] = 0.1
    with pytest.raises(nd.HyperparameterError, match=meant):
        opt.step()


def test_an_unknown_option_of_an_optimizer_is_refused_as_before():
    with pytest.raises(nd.HyperparameterError, match="lr_mult"):
        lion([parameter(2, 2)], lr_mult=0.1)
