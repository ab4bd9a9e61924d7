"""`nd.route`: one optimizer for a whole model."""

import copy

import pytest
import torch
from models import CNN, GPT, ZOO, mlp
from torch import nn

import normdsl as nd
from normdsl.algorithms import adamw, kfac, muon, sgd


def stepped(model, inputs, optimizers, steps=3):
    """Train on the squares of the outputs, and return the losses."""
    losses = []
    for _ in range(steps):
        loss = model(inputs).square().mean()
        for opt in optimizers:
            opt.zero_grad()
        loss.backward()
        for opt in optimizers:
            opt.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", ZOO)
def test_one_rule_trains_any_model(name):
    torch.manual_seed(0)
    make, data = ZOO[name]
    model, inputs = make(), data()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    losses = stepped(model, inputs, [nd.route(model, muon)], steps=8)
    assert losses[-1] < losses[0]
    assert all(not torch.equal(p, before[n]) for n, p in model.named_parameters())


def test_a_route_steps_like_an_optimizer_for_each_role():
    torch.manual_seed(0)
    model, inputs = mlp(4, 6, 5, 2), torch.randn(3, 4)
    twin = copy.deepcopy(model)
    whole = nd.route(model, hidden=muon(lr=0.1), head=sgd(lr=0.2), vector=adamw(lr=0.3))
    parts = [
        muon([twin[0].weight, twin[2].weight], lr=0.1),
        sgd([twin[4].weight], lr=0.2),
        adamw([twin[k].bias for k in (0, 2, 4)], lr=0.3),
    ]
    assert stepped(model, inputs, [whole]) == stepped(twin, inputs, parts)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_rule_without_a_name_is_hidden_and_adamw_takes_the_rest():
    opt = nd.route(GPT(), muon(lr=0.05), vector=sgd)
    found = {group["name"]: (group["rule"], group["lr"]) for group in opt.param_groups}
    assert found == {"embedding": (adamw, 1e-3), "hidden": (muon, 0.05), "vector": (sgd, 1e-3)}


def test_roles_named_one_by_one_leave_none_to_a_default():
    with pytest.raises(nd.HyperparameterError, match="without a rule for head"):
        nd.route(mlp(4, 3, 2), hidden=muon, vector=adamw)


def test_two_rules_for_hidden_are_refused():
    with pytest.raises(nd.HyperparameterError, match="two rules"):
        nd.route(mlp(4, 3, 2), muon, hidden=sgd)


def test_hyper_parameters_belong_to_the_rules():
    with pytest.raises(nd.HyperparameterError):
        nd.route(mlp(4, 3, 2), muon, lr=0.1)


def test_options_are_those_of_the_optimizer():
    opt = nd.route(mlp(4, 3, 2), muon, schedule=nd.exact, nonfinite="skip", maximize=True)
    assert opt.nonfinite == "skip"
    assert {(g["schedule"], g["maximize"]) for g in opt.param_groups} == {(nd.exact, True)}


def test_one_scheduler_drives_all_groups():
    opt = nd.route(CNN(), muon(lr=0.1))
    before = [group["lr"] for group in opt.param_groups]
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 1 / (1 + k))
    for p in (p for group in opt.param_groups for p in group["params"]):
        p.grad = torch.ones_like(p)
    opt.step()
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [lr / 2 for lr in before]


def test_a_saved_route_goes_on_bit_for_bit():
    torch.manual_seed(0)
    model, inputs = CNN(), torch.randn(2, 3, 7, 7)
    model.bn.eval()
    opt = nd.route(model, muon)
    stepped(model, inputs, [opt])
    twin = copy.deepcopy(model)
    other = nd.route(twin, muon)
    other.load_state_dict(opt.state_dict())
    assert stepped(model, inputs, [opt]) == stepped(twin, inputs, [other])
    other = nd.route(twin, muon, overrides={"grouped": nd.views.flat})
    with pytest.raises(nd.SerializationError):
        other.load_state_dict(opt.state_dict())


def test_a_grouped_convolution_steps_group_by_group():
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, groups=2)
    halves = [nn.Parameter(w.detach().reshape(3, 18).clone()) for w in conv.weight.chunk(2)]
    opt, loop = nd.route(conv, muon(lr=0.1)), muon(halves, lr=0.1)
    conv.weight.grad = torch.randn(6, 2, 3, 3)
    for p, g in zip(halves, conv.weight.grad.chunk(2), strict=True):
        p.grad = g.reshape(3, 18)
    opt.step()
    loop.step()
    torch.testing.assert_close(conv.weight.detach().reshape(6, 18), torch.cat(halves).detach())


def test_a_rule_that_reads_its_layer_takes_the_hidden_ones():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(16, 5), nn.Linear(5, 2))
    twin, inputs = copy.deepcopy(model), torch.randn(6, 3, 3, 3)
    whole = nd.route(model, kfac(lr=0.01), capture=nd.capture(model))
    of_kfac = {g["name"] for g in whole.param_groups if g["rule"] is kfac}
    parts = [
        kfac([twin[0].weight, twin[2].weight], lr=0.01, capture=nd.capture(twin)),
        adamw([twin[0].bias, twin[2].bias, twin[3].weight, twin[3].bias]),
    ]
    assert of_kfac == {"hidden", "hidden (flat)"}
    assert stepped(model, inputs, [whole]) == stepped(twin, inputs, parts)
