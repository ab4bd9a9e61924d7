"""Metadata: what tensors are like, as a plan remembers it, and what must not pass for the same."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from normdsl.algorithms import adamw
from normdsl.compiler.runtime.metadata import Metadata


class Seen(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_tensors_of_the_same_kind_fit_whatever_their_entries():
    known = Metadata([torch.zeros(3, 4), torch.zeros(5)])
    assert known.fits([torch.ones(3, 4), torch.ones(5)])
    with torch.no_grad(), Seen():
        assert known.fits([torch.ones(3, 4), torch.ones(5)])


@pytest.mark.parametrize(
    "other",
    [
        None,
        torch.zeros(4, 3),
        torch.zeros(12),
        torch.zeros(4, 3).t(),
        torch.zeros(3, 4, dtype=torch.float64),
        torch.zeros(3, 4, device="meta"),
        torch.zeros(3, 4).to_sparse(),
        nn.Parameter(torch.zeros(3, 4)),
    ],
    ids=["none", "shape", "axes", "strides", "dtype", "device", "layout", "type"],
)
def test_others_do_not(other):
    assert not Metadata([torch.zeros(3, 4)]).fits([other])


@pytest.mark.parametrize("change", [torch.Tensor.t, torch.Tensor.double], ids=["turned", "dtype"])
def test_data_that_is_replaced_is_planned_anew(change):
    """Else native code would take the entries of one tensor for those of another."""
    w = nn.Parameter(torch.randn(3, 4))
    opt = adamw([w])
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
    assert not before.groups[0].holds(opt.param_groups[0], before.groups[0].settings)


def test_a_gradient_of_two_parameters_is_that_of_each():
    apart = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    shared = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    ours, theirs = adamw(shared), adamw(apart)
    for _ in range(3):
        one = torch.randn(3, 4)
        for p, q in zip(shared, apart, strict=True):
            p.grad, q.grad = one, one.clone()
        ours.step()
        theirs.step()
    assert all(map(torch.equal, shared, apart))
