"""Wrappers around an optimizer: what they keep in its states and groups stays theirs."""

import copy
from collections import defaultdict

import pytest
import torch
from properties import assert_four_parts
from stepping import parameter
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, lion, muon, sgd, shampoo, soap

RULES = [adamw, muon, sgd, soap]


def step(opt, params, seed=0):
    g = torch.Generator().manual_seed(seed)
    for p in params:
        p.grad = torch.randn(p.shape, generator=g, dtype=p.dtype)
    opt.step()


class Averaged:
    """Steps from an average, which it keeps in the optimizer's state: a schedule-free wrapper."""

    def __init__(self, base, rate=0.5):
        self.base, self.rate = base, rate
        self.param_groups = base.param_groups

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
            for p in group["params"]:
                average = self.base.state[p].setdefault("z", p.detach().clone())
                p.lerp_(average, self.rate)
        self.base.step()
        for group in self.param_groups:
            for p in group["params"]:
                self.base.state[p]["z"].lerp_(p, 1 / group["k"])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_wrapper_that_keeps_an_average_in_our_state_averages(rule):
    ours, apart = parameter(3, 2), parameter(3, 2)
    with torch.no_grad():
        apart.copy_(ours)
    wrapped, alone = Averaged(rule([ours])), rule([apart])
    average = apart.detach().clone()
    for k in range(4):
        step(wrapped, [ours], k)
        with torch.no_grad():
            apart.lerp_(average, 0.5)
        step(alone, [apart], k)
        average.lerp_(apart.detach(), 1 / (k + 1))
    assert torch.equal(ours, apart)
    assert torch.equal(wrapped.base.state[ours]["z"], average)
    assert wrapped.base.param_groups[0]["k"] == 4


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_what_is_kept_before_the_first_step_makes_no_step_of_it(rule, nonfinite):
    ours, alone = parameter(3, 2), parameter(3, 2)
    with torch.no_grad():
        alone.copy_(ours)
    opt, plain = rule([ours], nonfinite=nonfinite), rule([alone])
    opt.state[ours]["theirs"] = torch.full((5,), 7.0)
    for k in range(3):
        step(opt, [ours], k)
        step(plain, [alone], k)
    assert torch.equal(ours, alone)
    assert torch.equal(opt.state[ours]["theirs"], torch.full((5,), 7.0))
    assert opt.state[ours].keys() == plain.state[alone].keys() | {"theirs"}


def test_a_hook_may_keep_anything():
    p, seen = parameter(2, 2), []

    def after(opt, *_):
        opt.state[p].setdefault("norms", []).append(float(p.detach().norm()))
        opt.state["steps"] = len(opt.state[p]["norms"])

    opt = adamw([p])
    opt.register_step_post_hook(after)
    for k in range(3):
        step(opt, [p], k)
        seen.append(float(p.detach().norm()))
    assert opt.state[p]["norms"] == seen
    assert opt.state["steps"] == 3


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_what_others_keep_is_saved_and_comes_back(rule):
    params = [parameter(3, 2), parameter(2, 2)]
    opt = rule(params)
    step(opt, params[:1])
    opt.state[params[0]]["z"] = torch.arange(3, dtype=torch.int64)
    opt.state[params[1]]["z"] = {"nested": [torch.ones(2, dtype=torch.bfloat16), "text"]}
    opt.state["all"] = {"k": 3}
    saved = opt.state_dict()
    other = rule([parameter(3, 2), parameter(2, 2)])
    other.load_state_dict(saved)
    first, second = other.param_groups[0]["params"]
    assert torch.equal(other.state[first]["z"], torch.arange(3))
    assert other.state[first]["z"] is not opt.state[params[0]]["z"]
    tensor, text = other.state[second]["z"]["nested"]
    assert (tensor.dtype, text) == (torch.bfloat16, "text")
    assert "step" not in other.state[second]
    assert other.state["all"] == {"k": 3}
    step(other, [first, second])
    assert int(other.state[second]["step"]) == 1
    assert "nested" in other.state[second]["z"]


def test_a_rule_with_other_names_for_its_states_takes_what_others_keep():
    def rule_with(name):
        space = {}
        exec(f"def mine(lr=0.1):\n {name} = nd.ema(G, 0.9)\n return W - lr * {name}",
             {"nd": nd, "G": G, "W": W}, space)  # fmt: skip
        return nd.optimizer(space["mine"])

    p, q = parameter(2, 2), parameter(2, 2)
    one, two = rule_with("a")([p]), rule_with("b")([q])
    step(one, [p])
    one.state[p]["theirs"] = 5
    two.load_state_dict(one.state_dict())
    assert two.state[q].keys() == {"step", "b", "theirs"}


def test_values_kept_under_another_schedule_go_and_what_others_keep_stays():
    p = parameter(3, 3)
    opt = shampoo([p], schedule=nd.Schedule(refresh=2))
    step(opt, [p])
    kept = set(opt.state[p])
    opt.state[p]["kept"] = opt.state[p]["z[0]"] = 1
    opt.param_groups[0]["schedule"] = nd.Schedule()
    step(opt, [p])
    gone = kept - set(opt.state[p])
    assert gone
    assert opt.state[p].keys() == (kept - gone) | {"kept", "z[0]"}
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][0] |= dict.fromkeys(gone, torch.ones(3, 3))
    opt.load_state_dict(saved)
    assert not gone & set(opt.state[p])


@pytest.mark.parametrize("taken", ["step", "m_buffer"])
def test_a_key_of_ours_that_others_took_is_refused_and_nothing_changes(taken):
    p, q = parameter(2, 2), parameter(2, 2)
    opt = adamw([q, p])
    opt.state[p][taken] = torch.zeros(()) if taken == "step" else torch.zeros_like(p)
    before = q.detach().clone()
    with pytest.raises(nd.GradientError, match=f"has {taken} already") as told:
        step(opt, [p, q])
    assert_four_parts(told.value)
    assert torch.equal(q, before)
    assert not opt.state[q]


def test_a_key_of_ours_that_is_no_tensor_is_refused():
    p = parameter(2, 2)
    opt = sgd([p])
    opt.state[p]["step"] = 3
    with pytest.raises(nd.GradientError, match="its state step is a int"):
        step(opt, [p])


def test_states_are_made_beside_what_others_keep():
    p = parameter(2, 2)
    opt = adamw([p])
    opt.state[p]["z"] = 1
    opt.init_state()
    assert opt.state[p].keys() == {"step", "m_buffer", "v_buffer", "z"}


def test_a_step_for_the_sake_of_states_is_none_though_others_keep_something():
    """As `torch.distributed.checkpoint` takes one: from zero gradients, at a rate of zero."""

    @nd.optimizer
    def shrinking(lr=0.1):
        return 0.9 * W - lr * nd.ema(G, 0.9)

    p = parameter(2, 2)
    opt, before = shrinking([p], lr=0.0), p.detach().clone()
    opt.state[p]["z"], p.grad = 1, torch.zeros_like(p)
    opt.step()
    assert torch.equal(p, before)


def test_slow_weights_as_in_lookahead():
    pytest.importorskip("pytorch_optimizer")
    from pytorch_optimizer import Lookahead

    ours, theirs = parameter(3, 2), parameter(3, 2)
    with torch.no_grad():
        theirs.copy_(ours)
    opts = (
        Lookahead(adamw([ours], lr=0.1), k=2, alpha=0.5),
        Lookahead(torch.optim.AdamW([theirs], lr=0.1), k=2, alpha=0.5),
    )
    for k in range(5):
        step(opts[0], [ours], k)
        step(opts[1], [theirs], k)
    torch.testing.assert_close(ours, theirs)
    opts[0].load_state_dict(opts[0].state_dict())
    step(opts[0], [ours])


@pytest.mark.parametrize("rule", [adamw, lion], ids=lambda r: r.name)
def test_sharpness_aware_steps(rule):
    pytest.importorskip("pytorch_optimizer")
    from pytorch_optimizer import SAM

    def run(base):
        torch.manual_seed(0)
        model, x = nn.Linear(3, 2), torch.randn(5, 3)
        opt = SAM(model.parameters(), base, rho=0.05, lr=0.1, weight_decay=0.01)

        def loss():
            opt.zero_grad()
            value = model(x).square().mean()
            value.backward()
            return value

        for _ in range(3):
            loss()
            opt.step(loss)
        return model.weight.detach()

    found = run(rule)
    if rule is adamw:
        torch.testing.assert_close(found, run(torch.optim.AdamW))


def test_states_in_a_dict_of_others_are_ours_after_loading():
    p = parameter(2, 2)
    opt = adamw([p])
    step(opt, [p])
    opt.load_state_dict(opt.state_dict())
    assert isinstance(opt.state, defaultdict)
    assert opt.state["anything"] == {}
