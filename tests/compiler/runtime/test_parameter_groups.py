"""Hyper-parameters that are tensors: each group has its own, and schedulers change them apart."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import normdsl as nd
from normdsl.algorithms import adamw, muon, sgd

SCHEDULERS = {
    "lambda": lambda o: lr_scheduler.LambdaLR(o, [lambda k: 0.5**k, lambda k: 1.0]),
    "multiplied": lambda o: lr_scheduler.MultiplicativeLR(o, [lambda k: 0.5, lambda k: 0.9]),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.7),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(
        o, [0.1, 0.4], total_steps=6, cycle_momentum=False
    ),
}


def parameters(count=2):
    return [nn.Parameter(torch.ones(3, 3)) for _ in range(count)]


def rates(opt, schedule, steps=3):
    scheduler, found = schedule(opt), []
    for _ in range(steps):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.ones_like(p)
        opt.step()
        scheduler.step()
        found.append([float(group["lr"]) for group in opt.param_groups])
    return found


def given_once(lr):
    return adamw([{"params": [p]} for p in parameters()], lr=lr)


def given_twice(lr):
    return adamw([{"params": [p], "lr": lr} for p in parameters()])


def added(lr):
    first, second = parameters()
    opt = adamw([first], lr=lr)
    opt.add_param_group({"params": [second]})
    return opt


def chosen(lr):
    rule = muon(lr=lr)
    return adamw([{"params": [p], "rule": rule} for p in parameters()])


def routed(lr):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    return nd.route(model, hidden=adamw(lr=lr), head=adamw(lr=lr))


def routed_by_one_choice(lr):
    rule = sgd(lr=lr)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    return nd.route(model, hidden=rule, overrides={"0.bias": rule, "1": rule})


def views_of_one(lr):
    column = lr.reshape(1) if isinstance(lr, torch.Tensor) else lr
    return adamw([{"params": [p], "lr": column} for p in parameters()])


MADE = [given_once, given_twice, added, chosen, routed, views_of_one]


@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS.keys())
@pytest.mark.parametrize("make", MADE, ids=lambda f: f.__name__)
def test_tensors_are_scheduled_as_numbers_are(make, schedule):
    """Once: Every group held the one tensor, which each scheduler wrote for all."""
    expected = rates(make(0.1), schedule)
    found = rates(make(torch.tensor(0.1)), schedule)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def assert_apart(opt):
    values = [x for g in opt.param_groups for x in g.values() if isinstance(x, torch.Tensor)]
    assert len(values) >= 2
    places = [x.data_ptr() for x in values]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("make", [*MADE, routed_by_one_choice], ids=lambda f: f.__name__)
def test_no_two_groups_share_a_tensor_nor_after_loading_or_copying(make):
    opt = make(torch.tensor(0.1))
    assert_apart(opt)
    assert_apart(copy.deepcopy(opt))
    saved, lr = opt.state_dict(), torch.tensor(0.3)
    for group in saved["param_groups"]:  # as an older state has it
        group["lr"] = lr
    opt.load_state_dict(saved)
    assert_apart(opt)
    assert all(float(group["lr"]) == pytest.approx(0.3) for group in opt.param_groups)


def test_two_hyper_parameters_of_a_group_are_two_tensors():
    x = torch.tensor(0.1)
    opt = adamw(parameters(), lr=x, weight_decay=x)
    opt.param_groups[0]["lr"].fill_(0.5)
    assert float(opt.param_groups[0]["weight_decay"]) == pytest.approx(0.1)


def test_the_first_group_has_the_tensor_itself_and_others_its_first_value():
    """So that `lr.fill_()` reaches an optimizer of one group, as of torch; and a group that is
    added late starts where it would with a number."""
    lr = torch.tensor(0.1)
    first, second = parameters()
    opt = adamw([first], lr=lr)
    assert opt.param_groups[0]["lr"] is lr
    lr.fill_(0.01)
    opt.add_param_group({"params": [second]})
    assert float(opt.param_groups[1]["lr"]) == pytest.approx(0.1)
    own = torch.tensor(0.7)
    opt.add_param_group({"params": parameters(1), "lr": own})
    assert opt.param_groups[2]["lr"] is own


def test_a_choice_keeps_its_value_when_optimizers_change_theirs():
    rule = adamw(lr=torch.tensor(0.1))
    made = [nd.route(nn.Linear(3, 3), rule) for _ in range(2)]
    made[0].param_groups[0]["lr"].fill_(0.5)
    for opt in made[1:]:
        assert float(opt.param_groups[0]["lr"]) == pytest.approx(0.1)
    assert float(rule.hyper["lr"]) == pytest.approx(0.1)
    pairs = itertools.pairwise(g["lr"].data_ptr() for opt in made for g in opt.param_groups[:1])
    assert all(x != y for x, y in pairs)
