"""Parameters that do not step, or cannot: they pass as with torch.optim, or are refused by us."""

import copy

import pytest
import torch
from properties import assert_four_parts
from stepping import parameter
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor

import normdsl as nd
from normdsl.algorithms import adamw, muon, sgd, shampoo, soap
from normdsl.errors import NormdslError


def frozen(x):
    return nn.Parameter(x, requires_grad=False)


def float8(*shape):
    return torch.ones(shape).to(torch.float8_e4m3fn)


def ragged():
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


IDLE = {
    "bytes": lambda: torch.ones(3, 2, dtype=torch.uint8),
    "truth values": lambda: torch.ones(3, 2, dtype=torch.bool),
    "a vector": lambda: torch.ones(3),
    "a complex matrix": lambda: torch.ones(2, 2, dtype=torch.complex64),
    "shared memory": lambda: torch.ones(3, 1).expand(3, 2),
    "8 bits": lambda: float8(3, 2),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "nested": ragged,
    "four axes": lambda: torch.ones(2, 2, 3, 3),
}


@pytest.mark.parametrize("make", IDLE.values(), ids=IDLE.keys())
@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
def test_a_parameter_that_needs_no_gradient_may_be_of_any_kind(rule, make):
    p, idle = parameter(2, 2), frozen(make())
    opt = rule([p, idle])
    for _ in range(2):
        p.grad = torch.ones_like(p)
        opt.step()
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    opt.init_state()
    assert idle not in opt.state
    assert "(frozen)" in str(opt.explain())
    assert "2 parameters" in repr(opt)


JUDGED = {
    "8 bits": (adamw, lambda: float8(3, 2), "8 bits round"),
    "a vector": (muon, lambda: torch.ones(3), "1 axis, not 2"),
    "sparse": (adamw, lambda: torch.eye(3).to_sparse(), "sparse_coo"),
    "nested": (adamw, ragged, "nested"),
    "shared memory": (adamw, lambda: torch.ones(3, 1).expand(3, 2), "cannot be written"),
    "a complex matrix": (muon, lambda: torch.ones(2, 2, dtype=torch.cfloat), "complex matrix"),
}


@pytest.mark.parametrize(("rule", "make", "says"), JUDGED.values(), ids=JUDGED.keys())
def test_one_that_needs_a_gradient_is_judged_when_it_is_added(rule, make, says):
    opt = rule([parameter(2, 2)])
    with pytest.raises(nd.GradientError, match=says) as told:
        opt.add_param_group({"params": [nn.Parameter(make())]})
    assert_four_parts(told.value)
    assert len(opt.param_groups) == 1


THAWED = {
    "a vector": (muon, lambda: torch.ones(3), "1 axis, not 2"),
    "8 bits": (adamw, lambda: float8(3, 2), "8 bits round"),
    "whole numbers": (adamw, lambda: torch.ones(3, dtype=torch.int32), "over the real numbers"),
    "sparse": (adamw, lambda: torch.eye(3).to_sparse(), "sparse_coo"),
}


@pytest.mark.parametrize(("rule", "make", "says"), THAWED.values(), ids=THAWED.keys())
def test_one_that_gets_a_gradient_later_is_judged_before_anything_is_changed(rule, make, says):
    p, idle = parameter(2, 2), frozen(make())
    opt, before = rule([p, idle]), p.detach().clone()
    p.grad, idle.grad = torch.ones_like(p), make()
    with pytest.raises(nd.GradientError, match=says) as told:
        opt.step()
    assert_four_parts(told.value)
    assert torch.equal(p, before)
    assert not opt.state


def test_a_parameter_that_thaws_steps():
    p = frozen(torch.ones(2, 2))
    opt = muon([p])
    p.requires_grad_(True)
    p.grad = torch.eye(2)
    opt.step()
    assert not torch.equal(p, torch.ones(2, 2))


# Parameters without a shape, or without values


@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
def test_parameters_of_a_lazy_module_step_once_they_have_a_shape(rule):
    model = nn.LazyLinear(3, bias=False)
    opt = rule(model.parameters())
    opt.step()
    opt.init_state()
    opt.load_state_dict(opt.state_dict())
    assert len(opt.explain().lines) == 1
    model(torch.ones(2, 4)).sum().backward()
    before = model.weight.detach().clone()
    opt.step()
    assert not torch.equal(model.weight, before)
    assert opt.explain().lines[0].shape == (3, 4)


def test_a_lazy_vector_is_judged_when_it_has_a_gradient():
    model = nn.LazyLinear(3)
    opt = muon(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    with pytest.raises(nd.GradientError, match="1 axis, not 2"):
        opt.step()


SCHEDULES = {"plain": nd.Schedule(), "kept": nd.Schedule(refresh=2, eigenbasis=nd.QRPower())}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("rule", [adamw, muon, soap, shampoo], ids=lambda r: r.name)
def test_steps_without_values_find_the_shapes_of_states(rule, schedule):
    """On the meta device, and with fake tensors, as programs that measure memory take them."""
    real = parameter(3, 2)
    plain = rule([real], schedule=schedule)
    real.grad = torch.ones_like(real)
    plain.step()
    expected = {key: x.shape for key, x in plain.state[real].items()}

    def steps(p):
        opt = rule([p], schedule=schedule)
        for _ in range(3):
            p.grad = torch.empty_like(p)
            opt.step()
        opt.load_state_dict(opt.state_dict())
        return {key: x.shape for key, x in opt.state[p].items()}

    assert steps(nn.Parameter(torch.empty(3, 2, device="meta"))) == expected
    with FakeTensorMode():
        assert steps(nn.Parameter(torch.empty(3, 2))) == expected


def test_a_probe_with_fake_gradients_reads_nothing():
    with FakeTensorMode():
        p = nn.Parameter(torch.empty(2))
        opt = adamw([p], lr=0.0)
        p.grad = torch.zeros(2)
        opt.step()
    assert "step" in opt.state[p]


# Gradients


def test_gradients_that_are_views_by_conjugation_or_negation_are_resolved():
    z = nn.Parameter(torch.ones(2, 2, dtype=torch.cfloat))
    x = nn.Parameter(torch.ones(2, 2))
    value = torch.full((2, 2), 1 + 2j)
    opt, plain = sgd([z, x], lr=1.0), sgd([z.detach().clone(), x.detach().clone()], lr=1.0)
    z.grad, x.grad = value.conj(), value.conj().imag
    assert z.grad.is_conj()
    assert x.grad.is_neg()
    opt.step()
    torch.testing.assert_close(z.detach(), 1 - value.conj().resolve_conj())
    torch.testing.assert_close(x.detach(), torch.full((2, 2), 3.0))
    assert len(plain.param_groups[0]["params"]) == 2


def test_parameters_that_are_such_views_are_written():
    base = torch.ones(2, 2, dtype=torch.cfloat)
    z, x = nn.Parameter(base.clone().conj()), nn.Parameter((1j * base).conj().imag)
    assert z.is_conj()
    assert x.is_neg()
    z.grad, x.grad = torch.full((2, 2), 1j), torch.ones(2, 2)
    sgd([z, x], lr=1.0).step()
    torch.testing.assert_close(z.detach().resolve_conj(), torch.full((2, 2), 1 - 1j))
    torch.testing.assert_close(x.detach().resolve_neg(), torch.full((2, 2), -2.0))


def test_a_sparse_gradient_changes_nothing_anywhere():
    p, table = parameter(2, 2), nn.Embedding(4, 3, sparse=True, dtype=torch.float64)
    opt, before = adamw([p, *table.parameters()]), p.detach().clone()
    (table(torch.tensor([1])).sum() + p.sum()).backward()
    with pytest.raises(nd.GradientError, match="sparse"):
        opt.step()
    assert torch.equal(p, before)


def test_a_gradient_of_whole_numbers_is_refused():
    p = parameter(2, 2)
    p.grad_dtype = None
    p.grad = torch.ones(2, 2, dtype=torch.int32)
    with pytest.raises(nd.GradientError, match=r"its gradient has dtype torch\.int32"):
        adamw([p]).step()


@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
def test_tensors_of_a_subclass_step_as_what_they_hold(rule):
    a, b = parameter(3, 2), parameter(3, 2)
    both = nn.Parameter(TwoTensor(a.detach().clone(), b.detach().clone()))
    opts = rule([a, b]), rule([both])
    for _ in range(2):
        a.grad, b.grad = torch.randn_like(a), torch.randn_like(b)
        both.grad = TwoTensor(a.grad.clone(), b.grad.clone())
        for opt in opts:
            opt.step()
        opts[1].load_state_dict(opts[1].state_dict())
    torch.testing.assert_close(both.a, a.detach())
    torch.testing.assert_close(both.b, b.detach())


# Parameters that were replaced or changed


def test_parameters_that_replace_others_start_anew_and_are_saved():
    old, new = parameter(2, 2), parameter(3, 2)
    opt, alone = adamw([old]), adamw([apart := nn.Parameter(new.detach().clone())])
    old.grad = torch.ones_like(old)
    opt.step()
    opt.param_groups[0]["params"] = [new]
    assert opt.state_dict()["state"] == {}
    assert old in opt.state
    assert opt.explain().lines[0].shape == (3, 2)
    new.grad = apart.grad = torch.ones_like(new)
    opt.step()
    alone.step()
    assert torch.equal(new, apart)
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert set(opt.state) == {new}


def test_a_list_of_named_parameters_may_grow():
    model = nn.Linear(2, 2)
    opt = adamw(model.named_parameters())
    opt.param_groups[0]["params"].append(nn.Parameter(torch.ones(2)))
    assert len(opt.explain().lines) == 3
    saved = opt.state_dict()
    assert "param_names" not in saved["param_groups"][0]
    opt.load_state_dict(saved)
    repr(opt)


@pytest.mark.parametrize(
    "params", [iter([]), None, [1], {}], ids=["iterator", "none", "one", "dict"]
)
def test_what_is_no_list_of_parameters_is_refused(params):
    opt = adamw([parameter(2, 2)])
    opt.param_groups[0]["params"] = params
    for ask in (opt.step, opt.explain, opt.state_dict):
        with pytest.raises(NormdslError):
            ask()


@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
def test_parameters_of_another_dtype_go_on(rule):
    model = nn.Linear(2, 2, bias=False)
    opt = rule(model.parameters())
    for change in (model.half, model.bfloat16, model.double, model.float):
        change()
        model.weight.grad = torch.ones_like(model.weight)
        before = model.weight.detach().clone()
        opt.step()
        assert not torch.equal(model.weight, before)
        opt.load_state_dict(copy.deepcopy(opt.state_dict()))


CHANGES = {
    "resized": (lambda p: setattr(p, "data", torch.ones(3, 2).double()), "has shape"),
    "moved": (
        lambda p: torch.utils.swap_tensors(
            p, nn.Parameter(torch.empty(2, 2, dtype=torch.float64, device="meta"))
        ),
        "is on cpu",
    ),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_parameters_of_another_size_or_place_than_their_states_are_refused(change, says):
    p, q = parameter(2, 2), parameter(2, 2)
    opt = adamw([q, p])
    for x in (p, q):
        x.grad = torch.ones_like(x)
    opt.step()
    p.grad = None
    change(p)
    p.grad = torch.ones_like(p)
    before = q.detach().clone()
    with pytest.raises(nd.GradientError, match=says) as told:
        opt.step()
    assert_four_parts(told.value)
    assert torch.equal(q, before)
