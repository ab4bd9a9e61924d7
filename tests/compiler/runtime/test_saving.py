"""What is saved comes back bit for bit; what does not fit is refused, and changes nothing."""

import copy
import io
import json
import pickle
import subprocess
import sys

import pytest
import torch
import torch.distributed.checkpoint as dcp
from moments import capturing, take_step
from taking_turns import in_turn
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adam, adamw, muon, sgd, shampoo, soap

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
#: Keeps eigenbases and roots between steps, so that a step depends on the count.
KEEPING = nd.Schedule(refresh=3, eigenbasis=nd.QRPower())


def model(dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3, bias=False))
    return layers.to(dtype)


def train(net, opt, steps, rule=None):
    for step in steps:
        g = torch.Generator().manual_seed(step)
        x = torch.randn(8, 4, generator=g).to(net[0].weight.dtype)
        opt.zero_grad()
        net(x).square().mean().backward()
        take_step(opt, rule) if rule else opt.step()


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def through_file(state_dict):
    buffer = io.BytesIO()
    torch.save(state_dict, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", in_turn(4).values(), ids=lambda r: r.name)
def test_resumed_training_is_the_uninterrupted_one_bit_for_bit(rule, dtype):
    net, twin = model(dtype), model(dtype)
    opt, resumed = (rule(m.parameters(), **capturing(rule, m)) for m in (net, twin))
    train(net, opt, range(2), rule)
    saved = through_file(opt.state_dict())
    twin.load_state_dict(net.state_dict())
    resumed.load_state_dict(saved)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert opt.state[p].keys() == resumed.state[q].keys()
        for key, value in opt.state[p].items():
            assert value.dtype == resumed.state[q][key].dtype
            assert torch.equal(value, resumed.state[q][key])
    train(net, opt, range(2, 4), rule)
    train(twin, resumed, range(2, 4), rule)
    assert equal(net, twin)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_schedule_that_keeps_values_resumes_between_refreshes(steps):
    net, twin = model(), model()
    opt, resumed = (soap(m.parameters(), schedule=KEEPING) for m in (net, twin))
    train(net, opt, range(steps))
    twin.load_state_dict(net.state_dict())
    resumed.load_state_dict(through_file(opt.state_dict()))
    train(net, opt, range(steps, 8))
    train(twin, resumed, range(steps, 8))
    assert equal(net, twin)


@pytest.mark.parametrize("rule", [soap, shampoo], ids=lambda r: r.name)
def test_another_schedule_may_go_on_from_the_same_state(rule):
    net = model()
    plain, keeping = rule(net.parameters()), rule(net.parameters(), schedule=KEEPING)
    train(net, plain, range(2))
    keeping.load_state_dict(plain.state_dict())
    train(net, keeping, range(2, 4))
    again = rule(net.parameters())
    again.load_state_dict(keeping.state_dict())
    first = net[0].weight
    kept = set(keeping.state[first]) - set(plain.state[first]) - {"refresh_offset"}
    assert set(again.state[first]) == set(plain.state[first])
    assert len(kept) == (0 if rule is soap else 2)  # its eigenbases are states anyway
    assert int(again.state[first]["step"]) == 4


@pytest.mark.parametrize("policy", ["bfloat16", {"m_buffer": "bfloat16"}, {"v_buffer": "float64"}])
def test_states_keep_the_dtype_of_the_schedule(policy):
    schedule = nd.Schedule(state=policy)
    net, twin = model(), model()
    opt, resumed = (adam(m.parameters(), schedule=schedule) for m in (net, twin))
    train(net, opt, range(2))
    state = opt.state[net[0].weight]
    names = policy if isinstance(policy, dict) else dict.fromkeys(("m_buffer", "v_buffer"), policy)
    for key in ("m_buffer", "v_buffer"):
        assert str(state[key].dtype) == f"torch.{names.get(key, 'float32')}"
    twin.load_state_dict(net.state_dict())
    resumed.load_state_dict(through_file(opt.state_dict()))
    train(net, opt, range(2, 4))
    train(twin, resumed, range(2, 4))
    assert equal(net, twin)
    # The rounding of states is all that the policy changes.
    plain_net = model()
    train(plain_net, adam(plain_net.parameters()), range(4))
    gap = (plain_net[0].weight - net[0].weight).abs().max()
    assert (gap == 0) == (policy == {"v_buffer": "float64"})
    assert gap < 2e-3


def test_a_loaded_state_takes_the_dtype_of_the_schedule_at_hand():
    net = model()
    wide, narrow = (
        adam(net.parameters()),
        adam(net.parameters(), schedule=nd.Schedule(state="bfloat16")),
    )
    train(net, wide, range(2))
    narrow.load_state_dict(wide.state_dict())
    for key in ("m_buffer", "v_buffer"):
        kept = wide.state[net[0].weight][key]
        assert torch.equal(narrow.state[net[0].weight][key], kept.bfloat16())


def test_a_state_that_a_schedule_names_must_exist():
    with pytest.raises(nd.HyperparameterError, match="momentum_buffer"):
        adam(model().parameters(), schedule=nd.Schedule(state={"momentum_buffer": "bfloat16"}))
    with pytest.raises(nd.DeclarationError, match="int8"):
        nd.Schedule(state="int8")


@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
@pytest.mark.parametrize("rule", [adamw, muon, soap, sgd], ids=lambda r: r.name)
def test_distributed_checkpoints(rule, flat, tmp_path):
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    net, twin = model(torch.bfloat16), model(torch.bfloat16)
    opt, resumed = rule(net.parameters(), lr=0.1), rule(twin.parameters())
    train(net, opt, range(3))
    saved = get_optimizer_state_dict(net, opt, options=options)
    dcp.save({"opt": saved, "net": net.state_dict()}, checkpoint_id=tmp_path)
    box = {
        "opt": get_optimizer_state_dict(twin, resumed, options=options),
        "net": twin.state_dict(),
    }
    dcp.load(box, checkpoint_id=tmp_path)
    twin.load_state_dict(box["net"])
    set_optimizer_state_dict(twin, resumed, box["opt"], options=options)
    assert resumed.param_groups[0]["lr"] == 0.1
    train(net, opt, range(3, 5))
    train(twin, resumed, range(3, 5))
    assert equal(net, twin)


def test_groups_say_their_rule_as_json():
    opt = muon(model().parameters(), view=nd.views.flat)
    (group,) = opt.state_dict()["param_groups"]
    assert nd.from_json(group["rule"]) == muon
    assert (group["view"], group["maximize"]) == ("flat", False)
    assert json.dumps(group)


def test_loading_keeps_rule_view_and_schedule_and_takes_hyper_parameters():
    schedule = nd.Schedule(polar=nd.jordan())
    net = model()
    opt, other = muon(net.parameters(), lr=0.5), muon(net.parameters(), schedule=schedule)
    train(net, opt, range(1))
    other.load_state_dict(through_file(opt.state_dict()))
    (group,) = other.param_groups
    assert group["lr"] == 0.5
    assert group["rule"] is muon
    assert group["schedule"] == schedule


def test_two_optimizers_never_share_what_was_loaded():
    net = model()
    opt, other = adam(net.parameters()), adam(net.parameters())
    train(net, opt, range(1))
    other.load_state_dict(opt.state_dict())
    state = copy.deepcopy(other.state[net[0].weight])
    train(net, opt, range(1))
    assert all(torch.equal(x, other.state[net[0].weight][k]) for k, x in state.items())


def test_hooks_of_saving_and_loading_run_and_are_heard():
    net = model()
    opt, seen = adam(net.parameters()), []
    train(net, opt, range(1))
    opt.register_state_dict_post_hook(lambda _, d: seen.append("saved"))
    opt.register_load_state_dict_post_hook(lambda o: seen.append(o.state[net[0].weight]["step"]))

    def doubled(_, given):
        given["state"] = {k: {**s, "step": s["step"] * 2} for k, s in given["state"].items()}
        return given

    opt.register_load_state_dict_pre_hook(doubled)
    opt.load_state_dict(opt.state_dict())
    assert seen == ["saved", 2]
    assert opt.state[net[0].weight]["step"] == 2


def test_a_copy_goes_on_alone():
    net = model()
    opt = soap(net.parameters(), schedule=KEEPING, nonfinite="skip")
    train(net, opt, range(2))
    twin, copied = copy.deepcopy((net, opt))
    assert copied.param_groups[0]["params"][0] is twin[0].weight
    assert copied.nonfinite == "skip"
    for step in range(2, 6):
        train(net, opt, [step])
        train(twin, copied, [step])
    assert equal(net, twin)


def test_a_pickle_goes_on_alone():
    net = model(torch.bfloat16)
    opt = soap(net.parameters(), schedule=KEEPING)
    train(net, opt, range(2))
    twin, loaded = pickle.loads(pickle.dumps((net, opt)))
    train(net, opt, range(2, 6))
    train(twin, loaded, range(2, 6))
    assert equal(net, twin)


def test_a_pickle_is_read_by_another_process(tmp_path):
    net = model()
    opt = muon(net.parameters())
    train(net, opt, range(1))
    (tmp_path / "opt.pickle").write_bytes(pickle.dumps(opt))
    code = (
        "import pickle, sys, torch\n"
        "from normdsl.algorithms import muon\n"
        "opt = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "(group,) = opt.param_groups\n"
        "assert group['rule'] == muon and hash(group['rule']) == hash(muon)\n"
        "for p in group['params']: p.grad = torch.ones_like(p)\n"
        "opt.step()\n"
        "print(int(opt.state[group['params'][0]]['step']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "opt.pickle")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "2"


# Refusals


def snapshot(opt):
    groups = [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return copy.deepcopy((dict(opt.state), groups))


def assert_untouched(opt, before):
    state, groups = before
    assert [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups] == groups
    for own, old in zip(opt.state.values(), state.values(), strict=True):
        assert own.keys() == old.keys()
        assert all(torch.equal(own[k], old[k]) for k in old)


def broken(change):
    """Return a change of a state dict, made on a copy."""

    def apply(saved):
        saved = copy.deepcopy(saved)
        return change(saved) or saved

    return apply


def _first(saved):
    return saved["state"][0]


FAULTS = {
    "no dict": lambda s: [1, 2],
    "no state": lambda s: {"param_groups": s["param_groups"]},
    "no groups": lambda s: {"state": s["state"]},
    "fewer groups": lambda s: {**s, "param_groups": []},
    "fewer parameters": lambda s: s["param_groups"][0].update(params=[0]),
    "another rule": lambda s: s["param_groups"][0].update(rule=nd.to_json(adamw)),
    "no rule that can be read": lambda s: s["param_groups"][0].update(rule="import os"),
    "another view": lambda s: s["param_groups"][0].update(view="stack"),
    "a missing state": lambda s: [_first(s).pop("u_buffer"), None][1],
    "a missing count": lambda s: [_first(s).pop("step"), None][1],
    "another shape": lambda s: _first(s).update(u_buffer=torch.zeros(3, 3)),
    "integers": lambda s: _first(s).update(u_buffer=torch.zeros(5, 4, dtype=torch.long)),
    "no tensor": lambda s: _first(s).update(u_buffer=0.0),
    "NaN": lambda s: [_first(s)["u_buffer"].fill_(torch.nan), None][1],
    "half a step": lambda s: _first(s).update(step=torch.tensor(1.5)),
    "a negative count": lambda s: _first(s).update(step=torch.tensor(-1.0)),
    "parameters swapped": lambda s: s["param_groups"][0].update(params=[1, 0]),
    "an illegal rate": lambda s: s["param_groups"][0].update(lr=-1.0),
    "no number": lambda s: s["param_groups"][0].update(lr="fast"),
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS.keys())
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change):
    net = model()
    opt, other = muon(net.parameters()), muon(net.parameters())
    train(net, opt, range(2))
    train(net, other, range(1))
    before = snapshot(other)
    with pytest.raises(nd.SerializationError) as caught:
        other.load_state_dict(broken(change)(opt.state_dict()))
    assert "  why: " in str(caught.value)
    assert_untouched(other, before)
    other.load_state_dict(opt.state_dict())


def test_the_state_of_torchs_own_optimizer_is_refused():
    net = model()
    theirs = torch.optim.AdamW(net.parameters())
    train(net, theirs, range(1))
    with pytest.raises(nd.SerializationError, match="its groups have amsgrad"):
        adamw(net.parameters()).load_state_dict(theirs.state_dict())


def test_rules_that_differ_in_a_number_are_not_the_same():
    def rule_with(k):
        @nd.optimizer
        def mine(lr=0.1):
            return W - k * lr * nd.ema(G, 0.9)

        return mine

    net = model()
    one, two = rule_with(1)(net.parameters()), rule_with(2)(net.parameters())
    train(net, one, range(1))
    with pytest.raises(nd.SerializationError, match="rule mine"):
        two.load_state_dict(one.state_dict())


def test_checkpoints_from_before_groups_said_their_rule_are_read():
    """Those kept the states of tensors as the matrices they are seen as."""
    torch.manual_seed(0)
    p = nn.Parameter(torch.randn(4, 3, 2, 2))
    opt, other = adam([p]), adam([p])
    p.grad = torch.randn_like(p)
    opt.step()
    old = opt.state_dict()
    old["param_groups"] = [
        {k: v for k, v in g.items() if k in (*adam.defaults, "params")} for g in old["param_groups"]
    ]
    flat = {k: v.reshape(4, -1) if v.ndim else v for k, v in old["state"][0].items()}
    other.load_state_dict({**old, "state": {0: flat}})
    assert all(torch.equal(other.state[p][k], v) for k, v in opt.state[p].items())


def test_shampoo_of_a_split_parameter_has_its_factors_piece_by_piece():
    torch.manual_seed(0)
    p = nn.Parameter(torch.randn(7, 3))
    a, b = (nn.Parameter(x.clone()) for x in p.detach().split([5, 2]))
    opt = shampoo([p], view=nd.views.split(5, 2))
    alone = shampoo([a, b])
    for _ in range(3):
        p.grad = torch.randn_like(p)
        a.grad, b.grad = (x.clone() for x in p.grad.split([5, 2]))
        opt.step()
        alone.step()
    assert set(opt.state[p]) == {"step", "L[0]", "L[1]", "R[0]", "R[1]"}
    torch.testing.assert_close(p, torch.cat([a, b]))
    twin = shampoo([p], view=nd.views.split(5, 2))
    twin.load_state_dict(through_file(opt.state_dict()))
    assert all(torch.equal(twin.state[p][k], v) for k, v in opt.state[p].items())
