"""Staggering: work is even, each parameter steps as alone, and resumes go on bit for bit."""

import copy
from collections import Counter

import pytest
import torch
from stepping import parameter, train
from torch import nn
from torch._dynamo.testing import CompileCounter

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import shampoo, soap
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.runtime.staggering import Turn, dealt

KEEP = 5
SCHEDULES = {
    "shampoo": (shampoo, nd.Schedule(refresh=KEEP)),
    "soap": (soap, nd.Schedule(refresh=KEEP, eigenbasis=nd.QRPower())),
}
cases = pytest.mark.parametrize(("rule", "schedule"), SCHEDULES.values(), ids=SCHEDULES)


def turns(count, size=8, refresh=KEEP, **options):
    program = lower(shampoo, nd.Schedule(refresh=refresh, **options))
    return [Turn(program, [(1, size, size)])] * count


def params(count=7, dtype=torch.float64):
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3, dtype=dtype)) for _ in range(count)]


def run(opt, ps, steps, first=0):
    for step in range(first, first + steps):
        draw = torch.Generator().manual_seed(step)
        for p in ps:
            p.grad = torch.randn(p.shape, dtype=p.dtype, generator=draw)
        opt.step()


def offsets(opt, ps):
    return [int(opt.state[p]["refresh_offset"]) for p in ps]


def test_equal_parameters_take_turns_and_one_alone_has_offset_0():
    assert dealt(turns(1)) == [0]
    assert Counter(dealt(turns(10))) == dict.fromkeys(range(KEEP), 2)
    assert dealt(turns(10, stagger=False)) == [0] * 10
    assert dealt(turns(3, refresh=1)) == [0] * 3


def test_the_costly_ones_are_apart_and_the_cheap_ones_fill_up():
    large, small = turns(2, 100), turns(4, 10)
    found = dealt([*small, *large], ())
    assert found[4] != found[5]
    assert not set(found[:4]) & set(found[4:])


def test_those_that_come_later_fill_the_steps_with_least_work():
    before = list(zip(turns(4), [0, 1, 2, 3], strict=True))  # due in 0, 4, 3 and 2 steps
    assert [-x % KEEP for x in dealt(turns(1), before)] == [1]


@cases
def test_each_steps_as_alone_with_its_offset_and_no_step_computes_all(rule, schedule):
    """Against a loop over parameters, each in an optimizer of its own, with this offset."""
    together = params()
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    opt = rule(together, schedule=schedule)
    run(opt, together, 1)
    assert sorted(offsets(opt, together)) == [0, 0, 1, 2, 3, 4, 4]
    ones = [rule([p], schedule=schedule) for p in alone]
    for p, one, offset in zip(alone, ones, offsets(opt, together), strict=True):
        one.init_state()
        one.state[p]["refresh_offset"].fill_(offset)
    run(opt, together, 12, first=1)
    for step in range(13):
        draw = torch.Generator().manual_seed(step)
        for p, one in zip(alone, ones, strict=True):
            p.grad = torch.randn(p.shape, dtype=p.dtype, generator=draw)
            one.step()
    for x, y in zip(together, alone, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


@cases
def test_only_the_rows_that_are_due_are_factored(rule, schedule, monkeypatch):
    ps, seen = params(10), []
    opt = rule(ps, schedule=schedule)
    run(opt, ps, 1)
    name = "qr" if rule is soap else "eigh"
    factor = getattr(torch.linalg, name)
    monkeypatch.setattr(torch.linalg, name, lambda x: seen.append(x.shape[0]) or factor(x))
    run(opt, ps, 2 * KEEP, first=1)
    assert seen == [2, 2] * 2 * KEEP


@cases
@pytest.mark.parametrize("before", [1, 3])
def test_a_resume_goes_on_bit_for_bit(rule, schedule, before):
    ours, theirs = params(), params()
    opt = rule(ours, schedule=schedule)
    run(opt, ours, before)
    resumed = rule(theirs, schedule=schedule)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    with torch.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            q.copy_(p)
    assert offsets(resumed, theirs) == offsets(opt, ours)
    run(opt, ours, 8, first=before)
    run(resumed, theirs, 8, first=before)
    assert all(map(torch.equal, ours, theirs))


def test_offsets_stay_when_parameters_come_and_when_the_choice_changes():
    ps, late = params(3), params(2)
    opt = shampoo(ps, schedule=SCHEDULES["shampoo"][1])
    run(opt, ps, 2)
    before = offsets(opt, ps)
    opt.add_param_group({"params": late})
    run(opt, [*ps, *late], 1, first=2)
    assert offsets(opt, ps) == before
    assert set(offsets(opt, late)).isdisjoint((2 + x) % KEEP for x in before)
    opt.param_groups[0]["schedule"] = nd.Schedule(refresh=KEEP, stagger=False)
    run(opt, [*ps, *late], 1, first=3)
    assert offsets(opt, ps) == before


def test_a_state_of_before_there_were_offsets_goes_on_at_multiples():
    ps = params(3)
    opt = shampoo(ps, schedule=nd.Schedule(refresh=KEEP, stagger=False))
    run(opt, ps, 2)
    saved = opt.state_dict()
    for state in saved["state"].values():
        del state["refresh_offset"]
    again = shampoo(ps, schedule=SCHEDULES["shampoo"][1])
    again.load_state_dict(saved)
    run(again, ps, 1, first=2)
    assert offsets(again, ps) == [0, 0, 0]


@cases
def test_the_pure_form_takes_the_same_turns(rule, schedule):
    ps = params()
    opt, pure = rule(ps, schedule=schedule), nd.functional(rule, schedule)
    tree = [p.detach().clone() for p in ps]
    state = pure.init(tree)
    for step in range(8):
        draw = torch.Generator().manual_seed(step)
        grads = [torch.randn(p.shape, dtype=p.dtype, generator=draw) for p in ps]
        tree, state = pure.update(grads, state, tree)
    run(opt, ps, 8)
    for x, y in zip(ps, tree, strict=True):
        torch.testing.assert_close(x.detach(), y, rtol=1e-9, atol=1e-9)


def test_nothing_of_the_device_is_read_to_know_who_is_due(monkeypatch):
    ps, read = params(), []
    opt = soap(ps, schedule=SCHEDULES["soap"][1])
    run(opt, ps, 2)
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: read.append(x) or original(x))
    run(opt, ps, 7, first=2)
    assert read == []


def test_a_step_that_fails_in_a_factorisation_writes_nothing(monkeypatch):
    ps = params(3)
    opt = soap(ps, schedule=SCHEDULES["soap"][1])
    run(opt, ps, 2)
    kept = copy.deepcopy([opt.state[p] for p in ps])

    def fails(_):
        raise torch.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(torch.linalg, "qr", fails)
    with pytest.raises(nd.FactorisationError):
        run(opt, ps, 3, first=2)
    for p, old in zip(ps, kept, strict=True):
        assert all(torch.equal(opt.state[p][k], x) for k, x in old.items())


def test_a_step_that_fails_after_its_kept_values_leaves_those(monkeypatch):
    @nd.optimizer
    def both(lr=0.1):
        L = nd.ema(G @ G.T, 0.9)
        return W - lr * nd.polar(nd.matrix_power(L, -1 / 4) @ G)

    ps = params(2)
    opt = both(ps, schedule=nd.Schedule(refresh=2))
    run(opt, ps, 2)
    kept = copy.deepcopy([opt.state[p] for p in ps])

    def fails(*_, **__):
        raise torch.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(torch.linalg, "svd", fails)
    with pytest.raises(nd.FactorisationError):
        run(opt, ps, 1, first=2)
    for p, old in zip(ps, kept, strict=True):
        assert all(torch.equal(opt.state[p][k], x) for k, x in old.items())


def test_a_skipped_step_of_one_leaves_the_turns_of_others():
    schedule = SCHEDULES["soap"][1]
    ours, theirs = params(3), params(3)
    opt, plain = soap(ours, schedule=schedule, nonfinite="skip"), soap(theirs, schedule=schedule)
    for step in range(9):
        run(plain, theirs, 1, first=step)
        if step == 4:
            for p in ours:
                p.grad = torch.full_like(p, torch.nan)
            opt.step()
        run(opt, ours, 1, first=step)
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


def test_a_parameter_of_several_sizes_takes_its_turn_as_a_whole():
    p, q = parameter(4, 6), parameter(3, 3)
    view = nd.views.split(1, 3)
    groups = [{"params": [p], "view": view}, {"params": [q]}]
    opt = shampoo(groups, schedule=SCHEDULES["shampoo"][1])
    train(opt, 7)
    assert sorted(offsets(opt, [p, q])) == [0, 4]


def test_after_one_period_nothing_is_compiled_again(monkeypatch):
    made, compiled = [], torch.compile

    def counting(function, **options):
        made.append(CompileCounter())
        return compiled(function, backend=made[-1], **options)

    monkeypatch.setattr(torch, "compile", counting)
    ps = params(5)
    opt = shampoo(ps, schedule=nd.Schedule(refresh=3, compile=True))
    run(opt, ps, 4)
    before = [counter.frame_count for counter in made]
    run(opt, ps, 7, first=4)
    assert [counter.frame_count for counter in made] == before
    assert sum(before) == 3  # the arrays; what is kept, of one matrix and of several
