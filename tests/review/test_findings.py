"""What a review of the optimizer found: each test fails until its finding is mended.

The first line of each docstring says how bad it is: *silent* (a wrong answer without a word),
*crash* (an error that is not ours, or half a change), *gap* (something users expect), *small*.
"""

import copy
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import (
    adamw,
    kfac,
    polyak_muadam_sania,
    sgd,
    sgd_momentum,
    shampoo,
    soap,
)
from normdsl.compiler.lowering import program
from normdsl.compiler.runtime import batch, saving
from normdsl.errors import NormdslError

TOTAL = nd.over_layers(nd.frobenius, nd.lp(2))


def parameter(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(torch.randn(*shape, dtype=torch.float64, generator=generator))


def train(opt, steps=1, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        opt.step(**options)
    return opt


def moved(params, before):
    return [float((p.detach() - w).norm()) for p, w in zip(params, before, strict=True)]


def values(params):
    return [p.detach().clone() for p in params]


@nd.optimizer
def averaged(lr=0.1, beta: nd.Fraction = 0.9):
    return W + lr * TOTAL.lmo(nd.ema(G, beta))


# Silent: steps


def test_a_random_draw_is_the_same_in_what_layers_share_and_in_the_step():
    """Silent: a survey of layers draws anew, so the norm is that of another matrix than the step's.

    The step is g / ‖g‖ over all layers with g = G + noise: its length is 1.
    """

    @nd.optimizer
    def noisy(lr=1.0):
        g = G + nd.normal_like(G)
        return W - lr * g * nd.reciprocal(TOTAL.value(g))

    params = [parameter(4, 3), parameter(3, 4)]
    before = values(params)
    train(noisy(params))
    assert sum(x**2 for x in moved(params, before)) == pytest.approx(1)


def test_a_schedule_of_one_group_does_not_change_what_layers_are():
    """Silent: a rule over layers falls apart by schedule, which may change rounding only."""

    def lengths(schedule):
        params = [parameter(4, 3), parameter(3, 4)]
        before = values(params)
        second = {"params": params[1:], "schedule": schedule}
        train(averaged([{"params": params[:1]}, second], lr=1.0))
        return moved(params, before)

    alike = nd.Schedule(state=dict.fromkeys(_states(averaged), "float64"))
    assert lengths(alike) == pytest.approx(lengths(nd.Schedule()))


def _states(rule):
    return [f.name for f in program.lower(rule, nd.Schedule()).fields]


def test_a_global_clip_in_a_route_is_global():
    """Silent: clip over layers clips each rule's parameters apart, so that lengths add up.

    Its docstring says "all parameters that step together", and that it is clip_grad_norm_.
    """
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).double()

    def clipped(rule):
        return rule.on_gradient(lambda g: nd.clip(g, 1.0, over="layers"))(lr=1.0)

    rules = {"hidden": clipped(sgd), "head": clipped(sgd), "vector": clipped(sgd_momentum)}
    before = values(model.parameters())
    train(nd.route(model, **rules))
    assert sum(x**2 for x in moved(model.parameters(), before)) <= 1 + 1e-9


def test_a_skipped_layer_is_as_one_without_gradient():
    """Silent: a skipped layer's old momentum still counts in what the others share."""

    def others(bad):
        params = [parameter(4, 3), parameter(3, 4)]
        opt = train(averaged(params, nonfinite="skip"), 3)
        params[1].grad = None if bad is None else torch.full((3, 4), bad).double()
        opt.step()
        return params[0].detach()

    torch.testing.assert_close(others(float("nan")), others(None))


def test_a_parameter_listed_twice_keeps_its_refreshes():
    """Silent (torch only warns): each listing counts as a step, and refreshes come too early."""
    once, twice = parameter(3, 3), parameter(3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = shampoo([twice, twice], schedule=nd.Schedule(refresh=3))
    plain = shampoo([once], schedule=nd.Schedule(refresh=3))
    for k in range(5):
        once.grad = torch.randn(3, 3, generator=torch.Generator().manual_seed(k)).double()
        twice.grad = once.grad.clone()
        plain.step()
        opt.step()
    torch.testing.assert_close(once, twice)


def test_a_shallow_copy_shares_the_count_with_the_state():
    """Small, silent: copies share the state, but each counts steps for itself on the host."""
    one, two = parameter(3, 3), parameter(3, 3)
    schedule = nd.Schedule(refresh=3)
    first, other = shampoo([one], schedule=schedule), shampoo([two], schedule=schedule)
    for optimizer, seed, steps in ((first, 0, 2), (copy.copy(first), 1, 2), (first, 2, 3)):
        train(optimizer, steps, seed)
        train(other, steps, seed)
    torch.testing.assert_close(one, two)


# Silent: saving


def test_a_state_of_a_transposed_parameter_is_refused():
    """Silent: a state is reshaped if its size fits: parameters in another order are scrambled.

    As of Linear(3, 4) and Linear(4, 3), listed the other way round.
    """
    saved = train(adamw([parameter(4, 3), parameter(3, 4)])).state_dict()
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 4), parameter(4, 3)]).load_state_dict(saved)


def test_named_parameters_in_another_order_are_refused_or_found():
    """Silent: names are saved and there, and are not compared."""
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
    """Silent: keys that JSON made text leave every parameter without its state."""
    saved = train(adamw([parameter(3, 3)])).state_dict()
    saved["state"] = {str(key): value for key, value in saved["state"].items()}
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 3)]).load_state_dict(saved)


def test_one_index_for_two_parameters_is_refused():
    """Silent: both get the state of one."""
    saved = train(adamw([parameter(3, 3), parameter(3, 3)])).state_dict()
    saved["param_groups"][0]["params"] = [0, 0]
    with pytest.raises(nd.SerializationError):
        adamw([parameter(3, 3), parameter(3, 3)]).load_state_dict(saved)


@pytest.mark.parametrize("value", ["no", None, 2])
def test_maximize_must_be_a_truth_value_when_loaded_too(value):
    """Silent: "no" is true, so the loaded optimizer climbs."""
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
    for cache in (program._lower, batch._stepper, saving._written):
        cache.cache_clear()


def test_equal_rules_with_other_names_do_not_exchange_states():
    """Silent: rules are equal whatever their states are called, and states are read by name."""
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
    """Gap: lowering is cached by equality, so the first of two equal rules names both's states.

    Whether a checkpoint fits then depends on what else the process has lowered before.
    """
    forget()
    train(one([parameter(3, 3)]))
    other = renamed()
    p = parameter(3, 3)
    opt = train(other([p]))
    forget()
    assert list(opt.state[p])[1:] == ["v", "m"]


def test_reading_a_state_for_a_distributed_checkpoint_changes_no_weight():
    """Silent: torch makes states by a step at rate 0, and decay that knows no rate still decays."""

    @nd.optimizer
    def decayed(lr=0.1, weight_decay: nd.Fraction = 0.1):
        return nd.decay.independent(weight_decay) - lr * nd.ema(G, 0.9)

    model = nn.Linear(3, 2)
    before = values(model.parameters())
    get_optimizer_state_dict(model, decayed(model.parameters()))
    assert moved(model.parameters(), before) == [0, 0]


# Silent: what is trained


def test_a_set_of_parameters_is_refused():
    """Silent: sets have no order, so that states are loaded into other parameters."""
    with pytest.raises((TypeError, NormdslError)):
        adamw([{"params": {parameter(2, 2), parameter(3, 3)}}])


def test_a_group_without_params_is_refused():
    """Silent: it trains nothing."""
    with pytest.raises((KeyError, TypeError, NormdslError)):
        adamw([{"lr": 1.0}])


# Crashes


def test_a_parameter_that_cannot_be_written_is_refused_before_the_others_are():
    """Crash with half a step taken: torch refuses to write an expanded tensor."""
    first, second = parameter(3, 3), nn.Parameter(torch.randn(3, 1).expand(3, 4))
    before = first.detach().clone()
    with pytest.raises(NormdslError):
        train(adamw([first, second]))
    assert torch.equal(first, before)


def test_a_compiled_training_step_may_contain_the_optimizer():
    """Crash: Dynamo traces the step and dies in attrs; torch.optim's own compile."""
    torch.compiler.reset()
    model = nn.Linear(3, 2)
    opt = adamw(model.parameters())

    @torch.compile(backend="eager")
    def step(x):
        model(x).square().mean().backward()
        opt.step()

    step(torch.randn(4, 3))
    assert all(opt.state[p]["step"] == 1 for p in model.parameters())


@pytest.mark.parametrize("loss", [torch.tensor(3), torch.tensor(True)])
def test_a_loss_of_whole_numbers_is_taken_or_refused(loss):
    """Crash: vector_norm of integers; the number 3 is taken."""
    try:
        train(polyak_muadam_sania([parameter(3, 2)]), loss=loss)
    except NormdslError:
        return


def test_a_loss_in_place_of_a_closure_is_refused_in_our_words():
    """Crash: 'Tensor' object is not callable, in what newcomers write first."""
    opt = polyak_muadam_sania([parameter(3, 2)])
    with pytest.raises(NormdslError, match="loss="):
        opt.step(torch.tensor(1.0))


@pytest.mark.parametrize("given", [None, "checkpoint.pt", 5])
def test_what_is_no_state_dict_is_refused(given):
    """Crash: torch calls .copy() before we look; a path is what people pass by mistake."""
    with pytest.raises(nd.SerializationError):
        adamw([parameter(2, 2)]).load_state_dict(given)


FAULTS = {
    "a count of text": lambda s: s["state"][0].update(step="x"),
    "no count": lambda s: s["state"][0].update(step=None),
    "members that are lists": lambda s: s["param_groups"][0].update(params=[[0]]),
    "a kept value of another shape": lambda s: s["state"][0].update(kept(s, torch.ones(2, 2))),
    "a kept value of text": lambda s: s["state"][0].update(kept(s, "x")),
    "a kept value that is NaN": lambda s: s["state"][0].update(
        kept(s, torch.full((3, 3), torch.nan))
    ),
    "an unknown key of a group": lambda s: s["param_groups"][0].update(foo=1),
    "a wrong number of names": lambda s: s["param_groups"][0].update(param_names=["a", "b"]),
}


def kept(saved, value):
    """Return a change of a value that the schedule keeps between steps."""
    names = [f.name for f in program.lower(shampoo, nd.Schedule(refresh=3)).fields]
    known = _states(shampoo)
    return {next(n for n in names if n not in known): value}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_state_is_refused_when_it_is_loaded(change):
    """Crash, or refused only at the next step, when the old state is gone."""
    schedule = nd.Schedule(refresh=3)
    saved = copy.deepcopy(train(shampoo([parameter(3, 3)], schedule=schedule), 2).state_dict())
    change(saved)
    with pytest.raises(nd.SerializationError):
        shampoo([parameter(3, 3)], schedule=schedule).load_state_dict(saved)


def test_a_count_that_is_a_number_is_a_count():
    """Crash: a step saved as a Python number, as torch.optim once did, ends in vector_norm."""
    saved = copy.deepcopy(train(adamw([parameter(3, 3)]), 3).state_dict())
    saved["state"][0]["step"] = 3
    opt = adamw([parameter(3, 3)])
    opt.load_state_dict(saved)
    assert [int(s["step"]) for s in opt.state.values()] == [3]


@pytest.mark.parametrize("theirs", [torch.optim.AdamW, torch.optim.SGD])
def test_the_state_of_torchs_optimizer_before_its_first_step_is_refused(theirs):
    """Gap: taken without a word, hyper-parameters included; then every step is refused."""
    p = parameter(3, 3)
    with pytest.raises(nd.SerializationError):
        sgd([p]).load_state_dict(theirs([p], lr=0.1).state_dict())


def test_a_view_changed_by_hand_is_refused_in_our_words():
    """Small: a crash in reshape, since the state is that of the old view."""
    p = parameter(4, 4)
    opt = train(shampoo([p]))
    opt.param_groups[0]["view"] = nd.views.heads(2)
    with pytest.raises(NormdslError):
        opt.step()


EDITS = {
    "a group without a rule": lambda opt: opt.param_groups.append({"params": []}),
    "a rule by name": lambda opt: opt.param_groups[0].update(rule="adamw"),
    "no schedule": lambda opt: opt.param_groups[0].update(schedule=None),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_groups_edited_by_hand_are_refused_in_our_words(edit):
    """Small: KeyError or AttributeError; what `add_param_group` checks, a step does not."""
    opt = adamw([parameter(2, 2)])
    edit(opt)
    with pytest.raises(NormdslError):
        opt.step()


def test_a_hook_may_take_the_rule_out_of_a_state_dict():
    """Small: hooks see live objects in place of the text, and if they drop them we crash."""
    opt = adamw([parameter(2, 2)])
    own = ("rule", "schedule", "view")

    def plain(optimizer, saved):
        groups = [{k: v for k, v in g.items() if k not in own} for g in saved["param_groups"]]
        return {**saved, "param_groups": groups}

    opt.register_state_dict_post_hook(plain)
    assert "lr" in opt.state_dict()["param_groups"][0]


MISUSES = {
    "a list for a group": lambda m: adamw(m.parameters()).add_param_group([parameter(2, 2)]),
    "a number for parameters": lambda m: adamw([{"params": 5}]),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_answered_in_our_words(misuse):
    """Small: an AttributeError or TypeError of ours, or nothing until much later."""
    with pytest.raises(NormdslError):
        misuse(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))


def test_a_number_of_numpy_is_a_number():
    """Small: a loss of float32 of numpy is refused."""
    numpy = pytest.importorskip("numpy")
    train(polyak_muadam_sania([parameter(3, 2)]), loss=numpy.float32(1.0))


def test_a_sharded_parameter_steps_as_a_whole_one_or_is_refused():
    """Crash: states that start at a multiple of the identity are no DTensors; others step."""
    distributed = torch.distributed
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    try:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        place = partial(distribute_tensor, device_mesh=mesh, placements=[Shard(0)])
        whole, grad = torch.randn(4, 3), torch.randn(4, 3)
        sharded, plain = nn.Parameter(place(whole.clone())), nn.Parameter(whole)
        sharded.grad, plain.grad = place(grad.clone()), grad
        shampoo([sharded]).step()
        shampoo([plain]).step()
        torch.testing.assert_close(sharded.full_tensor(), plain)
    finally:
        distributed.destroy_process_group()


def test_a_kept_value_is_not_older_than_the_schedule_says():
    """Small, silent: a basis kept from before a detour by another schedule is taken up again."""
    p, often = parameter(3, 3), nd.Schedule(refresh=10)
    opt = train(soap([p], schedule=often), 11)
    (group,) = opt.param_groups
    basis = opt.state[p]["Q"].clone()
    group["schedule"] = nd.Schedule()
    train(opt, 20, seed=1)
    group["schedule"] = often
    train(opt, 1, seed=2)
    assert not torch.equal(opt.state[p]["Q"], basis)


# Distributed checkpoints: torch makes states by a step with zero gradients at rate 0


@nd.optimizer
def positive(lr: nd.Positive = 0.1):
    return W - lr * nd.ema(G, 0.9)


@nd.optimizer
def undamped(lr=0.1):
    return W - lr * nd.ema(G, 0.9) / nd.sqrt(nd.ema(G * G, 0.9))


@pytest.mark.parametrize("rule", [polyak_muadam_sania, positive, undamped, kfac])
def test_every_rule_goes_through_a_distributed_checkpoint(rule):
    """Gap: rules that need a loss or moments, rates above 0 or gradients that are not 0, do not."""
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
