"""States that look as if they fit: found by their names, or refused."""

import copy

import pytest
import torch
from stepping import moved, parameter, train, values
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import (
    adamw,
    kfac,
    polyak_muadam_sania,
    sgd,
    shampoo,
)
from normdsl.compiler.layouts import stepper as batch
from normdsl.compiler.lowering import program
from normdsl.compiler.runtime import saving


def test_a_state_of_a_transposed_parameter_is_refused():
    """Once: A state is reshaped if its size fits: parameters in another order are scrambled.

    As of Linear(3, 4) and Linear(4, 3), listed the other way round.
    """
    saved = train(adamw([parameter(4, 3), parameter(3, 4)])).state_dict()
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 4), parameter(4, 3)]).load_state_dict(saved)


def test_named_parameters_in_another_order_are_refused_or_found():
    """Once: Names are saved and there, and are not compared."""
    named = [("a", parameter(3, 3)), ("b", parameter(3, 3, seed=1))]
    first = train(adamw(named))
    second = adamw(named[::-1])
    try:
        second.load_state_dict(first.state_dict())
    except nd.SerializationError:
        return
    for _, p in named:
        for key, value in first.state[p].items():
            assert torch.equal(second.state[p][key], value)


def test_states_under_unknown_keys_are_refused():
    """Once: Keys that JSON made text leave every parameter without its state."""
    saved = train(adamw([parameter(3, 3)])).state_dict()
    saved["state"] = {str(key): value for key, value in saved["state"].items()}
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 3)]).load_state_dict(saved)


def test_one_index_for_two_parameters_is_refused():
    """Once: Both get the state of one."""
    saved = train(adamw([parameter(3, 3), parameter(3, 3)])).state_dict()
    saved["param_groups"][0]["params"] = [0, 0]
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 3), parameter(3, 3)]).load_state_dict(saved)


@pytest.mark.parametrize("value", ["no", None, 2])
def test_maximize_must_be_a_truth_value_when_loaded_too(value):
    """Once: "no" is true, so the loaded optimizer climbs."""
    saved = train(adamw([parameter(3, 3)])).state_dict()
    saved["param_groups"][0]["maximize"] = value
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 3)]).load_state_dict(saved)


@nd.optimizer
def one(lr=0.1, beta: nd.Fraction = 0.9):
    m = nd.ema(G, beta)
    v = nd.ema(G * G, beta)
    return W - lr * m / (1 + v)


def renamed():
    """Return the same rule under the same name, with the names of its states exchanged."""

    @nd.optimizer
    def one(lr=0.1, beta: nd.Fraction = 0.9):
        v = nd.ema(G, beta)
        m = nd.ema(G * G, beta)
        return W - lr * v / (1 + m)

    return one


def forget():
    """Be another process: forget what was lowered under an equal rule."""
    for cache in (program.lower, batch.stepper, saving._json):
        cache.cache_clear()


def test_equal_rules_with_other_names_do_not_exchange_states():
    """Once: Rules are equal whatever their states are called, and states are read by name."""
    forget()
    saved = train(one([parameter(3, 3)])).state_dict()
    forget()
    other, plain = renamed()([parameter(3, 3)]), one([parameter(3, 3)])
    plain.load_state_dict(saved)
    try:
        other.load_state_dict(saved)
    except nd.SerializationError:
        return
    finally:
        forget()
    (p,) = other.param_groups[0]["params"]
    assert torch.equal(other.state[p]["v"], saved["state"][0]["m"])


def test_states_are_called_as_their_own_rule_calls_them():
    """Once: Lowering is cached by equality, so the first of two equal rules names both's states.

    Whether a checkpoint fits then depends on what else the process has lowered before.
    """
    forget()
    train(one([parameter(3, 3)]))
    other = renamed()
    p = parameter(3, 3)
    opt = train(other([p]))
    forget()
    assert list(opt.state[p])[1:] == ["v", "m"]


@pytest.mark.parametrize("given", [None, "checkpoint.pt", 5])
def test_what_is_no_state_dict_is_refused(given):
    """Once: Torch calls .copy() before we look; a path is what people pass by mistake."""
    with pytest.raises(nd.SerializationError):
        adamw([parameter(2, 2)]).load_state_dict(given)


def _states(rule):
    return [f.name for f in program.lower(rule, nd.Schedule()).fields]


def kept(saved, value):
    """Return a change of a value that the schedule keeps between steps."""
    names = [f.name for f in program.lower(shampoo, nd.Schedule(refresh=3)).fields]
    known = _states(shampoo)
    return {next(n for n in names if n not in known): value}


FAULTS = {
    "a count of text": lambda s: s["state"][0].update(step="x"),
    "no count": lambda s: s["state"][0].update(step=None),
    "members that are lists": lambda s: s["param_groups"][0].update(params=[[0]]),
    "a kept value of another shape": lambda s: s["state"][0].update(kept(s, torch.ones(2, 2))),
    "a kept value of text": lambda s: s["state"][0].update(kept(s, "x")),
    "a kept value that is NaN": lambda s: s["state"][0].update(
        kept(s, torch.full((3, 3), torch.nan))
    ),
    "a misspelt key of a group": lambda s: s["param_groups"][0].update(learning_rate=1),
    "a wrong number of names": lambda s: s["param_groups"][0].update(param_names=["a", "b"]),
    "names that are no text": lambda s: s["param_groups"][0].update(param_names=[5]),
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_state_is_refused_when_it_is_loaded(change):
    """Once: Refused only at the next step, when the old state is gone."""
    schedule = nd.Schedule(refresh=3)
    saved = copy.deepcopy(train(shampoo([parameter(3, 3)], schedule=schedule), 2).state_dict())
    change(saved)
    with pytest.raises(nd.SerializationError):
        shampoo([parameter(3, 3)], schedule=schedule).load_state_dict(saved)


def test_a_count_that_is_a_number_is_a_count():
    """Once: A step saved as a Python number, as torch.optim once did, ends in vector_norm."""
    saved = copy.deepcopy(train(adamw([parameter(3, 3)]), 3).state_dict())
    saved["state"][0]["step"] = 3
    opt = adamw([parameter(3, 3)])
    opt.load_state_dict(saved)
    assert [int(s["step"]) for s in opt.state.values()] == [3]


@pytest.mark.parametrize("theirs", [torch.optim.AdamW, torch.optim.SGD])
def test_the_state_of_torchs_optimizer_before_its_first_step_is_refused(theirs):
    """Once: Taken without a word, hyper-parameters included; then every step is refused."""
    p = parameter(3, 3)
    with pytest.raises(nd.SerializationError):
        sgd([p]).load_state_dict(theirs([p], lr=0.1).state_dict())


def test_a_hook_may_take_the_rule_out_of_a_state_dict():
    """Once: Hooks see live objects in place of the text, and if they drop them we crash."""
    opt = adamw([parameter(2, 2)])
    own = ("rule", "schedule", "view")

    def plain(optimizer, saved):
        groups = [{k: v for k, v in g.items() if k not in own} for g in saved["param_groups"]]
        return {**saved, "param_groups": groups}

    opt.register_state_dict_post_hook(plain)
    assert "lr" in opt.state_dict()["param_groups"][0]


@nd.optimizer
def positive(lr: nd.Positive = 0.1):
    return W - lr * nd.ema(G, 0.9)


@nd.optimizer
def undamped(lr=0.1):
    return W - lr * nd.ema(G, 0.9) / nd.sqrt(nd.ema(G * G, 0.9))


def test_reading_a_state_for_a_distributed_checkpoint_changes_no_weight():
    """Once: Torch makes states by a step at rate 0, and decay that knows no rate still decays."""

    @nd.optimizer
    def decayed(lr=0.1, weight_decay: nd.Fraction = 0.1):
        return nd.decay.independent(weight_decay) - lr * nd.ema(G, 0.9)

    model = nn.Linear(3, 2)
    before = values(model.parameters())
    get_optimizer_state_dict(model, decayed(model.parameters()))
    assert moved(model.parameters(), before) == [0, 0]


@pytest.mark.parametrize("rule", [polyak_muadam_sania, positive, undamped, kfac])
def test_every_rule_goes_through_a_distributed_checkpoint(rule):
    """Once: not those that need a loss or moments, rates above 0 or gradients beside 0."""
    found = []
    for _ in range(2):
        model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Linear(5, 3, bias=False))
        options = {"capture": nd.capture(model)} if rule.moments else {}
        opt = rule(model.parameters(), **options)
        found.append((model, opt))
    model, opt = found[0]
    loss = model(torch.randn(8, 4)).square().mean()
    loss.backward()
    opt.step(loss=loss)
    saved = get_optimizer_state_dict(model, opt)
    set_optimizer_state_dict(*found[1], saved)
    for p, q in zip(model.parameters(), found[1][0].parameters(), strict=True):
        for key, value in opt.state[p].items():
            assert torch.equal(found[1][1].state[q][key], value)


def test_a_step_at_rate_zero_is_a_step_unless_every_gradient_is_zero():
    """A warm-up may start at 0: states average its gradients, and clocks count it."""
    a, b = parameter(3, 3), parameter(3, 3)
    opt = adamw([a, b], lr=0.0)
    opt.step()
    assert not opt.state
    a.grad, b.grad = torch.zeros_like(a), None
    opt.step()
    assert [int(s["step"]) for s in opt.state.values()] == [1]
    opt = adamw([a, b], lr=torch.tensor(0.0))
    a.grad, b.grad = torch.zeros_like(a), torch.ones_like(b)
    opt.step()
    assert [int(s["step"]) for s in opt.state.values()] == [1, 1]
    opt = adamw([a, b], lr=0.0)
    b.grad = torch.zeros_like(b)
    opt.step()
    assert [int(s["step"]) for s in opt.state.values()] == [0, 0]
