"""Guards: what a plan rests on, and what must not pass for the same."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl.algorithms import adamw
from normdsl.compiler.buckets import guards
from normdsl.compiler.buckets.guards import Plain, Tensors
from normdsl.compiler.native import look

KINDS = [
    Tensors,
    pytest.param(
        Plain, marks=pytest.mark.skipif(bool(look.refusal()), reason="there is no C++ compiler")
    ),
]
kinds = pytest.mark.parametrize("kind", KINDS)


class Seen(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def params():
    found = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
    for p in found:
        p.grad = torch.randn_like(p)
    return found


@kinds
def test_tensors_of_the_same_kind_fit_whatever_their_entries(kind):
    both = params()
    known = kind(both)
    assert known.hold()
    for p in both:
        p.grad = torch.zeros_like(p)
        p.data = torch.zeros_like(p)
    assert known.hold()
    with torch.no_grad(), Seen():
        assert known.hold()


@kinds
@pytest.mark.parametrize(
    "other",
    [
        None,
        torch.zeros(4, 3).t(),
        torch.zeros(3, 4).to_sparse(),
        torch.zeros(3, 4, dtype=torch.complex64).real,
        torch.zeros(3, 4, requires_grad=True),
    ],
    ids=["none", "strides", "layout", "steps", "differentiable"],
)
def test_other_gradients_do_not(kind, other):
    both = params()
    known = kind(both)
    both[0].grad = other
    assert not known.hold()
    both[0].grad = torch.zeros(3, 4)
    assert known.hold()


@kinds
@pytest.mark.parametrize(
    "other",
    [
        torch.zeros(4, 3),
        torch.zeros(12),
        torch.zeros(4, 3).t(),
        torch.zeros(3, 4, dtype=torch.float64),
    ],
    ids=["shape", "axes", "strides", "dtype"],
)
def test_other_weights_do_not(kind, other):
    both = params()
    known = kind(both)
    both[0].grad = None
    both[0].data = other
    both[0].grad = torch.zeros_like(other)
    assert not known.hold()


@kinds
def test_swapped_tensors_are_seen(kind):
    both = params()
    known = kind(both)
    torch.utils.swap_tensors(both[0], nn.Parameter(torch.zeros(3, 4)))
    assert not known.hold()


def test_addresses_are_those_of_the_last_look():
    both = params()
    known = guards.guards(both, native=True)
    for _ in range(2):
        assert known.hold()
        if known.places is not None:
            assert known.places[0].tolist() == [p.data_ptr() for p in both]
            assert known.places[1].tolist() == [p.grad.data_ptr() for p in both]
        for p in both:
            p.grad = torch.randn_like(p)
            p.data = torch.randn_like(p)


@kinds
def test_what_others_write_is_seen(kind):
    both = params()
    known = kind(both)
    assert known.hold()
    assert known.written
    known.note()
    assert known.hold()
    assert not known.written
    with torch.no_grad():
        both[1].add_(1)
    assert known.hold()
    assert known.written
    before = [p._version for p in both]
    known.wrote(1, 2)
    assert [p._version for p in both] == [before[0], before[1] + 1]
    known.note()
    assert known.hold()
    assert not known.written


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Parameter(torch.zeros(3, device="meta")),
        lambda: nn.Parameter(torch.zeros(3, dtype=torch.complex64).conj()),
        lambda: torch.zeros(3).as_subclass(Subclass).requires_grad_(),
    ],
    ids=["meta", "conjugate", "subclass"],
)
def test_tensors_that_are_not_plain_are_left_to_torch(make):
    p = make()
    p.grad = torch.zeros_like(p)
    assert isinstance(guards.guards([p], native=True), Tensors)


def test_without_native_code_tensors_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(look, "refusal", lambda: "there is no C++ compiler")
    assert isinstance(guards.guards(params(), native=True), Tensors)
    monkeypatch.undo()
    assert isinstance(guards.guards(params(), native=False), Tensors)


class Subclass(torch.Tensor):
    pass


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("change", [torch.Tensor.t, torch.Tensor.double], ids=["turned", "dtype"])
def test_data_that_is_replaced_is_planned_anew(change, compile):
    """Else native code would take the entries of one tensor for those of another."""
    w = nn.Parameter(torch.randn(3, 4))
    opt = adamw([w], schedule=nd.Schedule(compile=compile))
    for _ in range(2):
        w.grad = torch.randn_like(w)
        opt.step()
    before = opt._plan
    w.grad = torch.randn_like(w)
    opt.step()
    assert opt._plan is before
    w.grad = None
    w.data = change(w.data)
    w.grad = torch.randn_like(w)
    assert not before.guards.hold()


@pytest.mark.parametrize("compile", [True, False])
def test_a_gradient_of_two_parameters_is_that_of_each(compile):
    apart = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    shared = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    schedule = nd.Schedule(compile=compile)
    ours, theirs = adamw(shared, schedule=schedule), adamw(apart, schedule=schedule)
    for _ in range(3):
        one = torch.randn(3, 4)
        for p, q in zip(shared, apart, strict=True):
            p.grad, q.grad = one, one.clone()
        ours.step()
        theirs.step()
    assert all(map(torch.equal, shared, apart))
