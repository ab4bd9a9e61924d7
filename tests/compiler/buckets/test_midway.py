"""Midway: what entries become between two matrix operations, as native code."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.buckets import executors, midway
from normdsl.compiler.buckets.staged import Staged
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.stages import stages

SOAP = nd.Schedule(eigenbasis=nd.QRPower(), refresh=2)


def between(rule, schedule=None):
    """Return the functions between matrix operations of a rule, and the names of its numbers."""
    parts = stages(lower(rule, schedule or nd.Schedule()))
    return parts.between, parts.numbers


def stepped(rule, monkeypatch, shapes=((6, 4), (6, 4)), steps=3, **options):
    """Return weights after some steps, and the optimizer, whose entries are native code."""
    monkeypatch.setattr(executors, "MANY", 1)
    draw = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=draw)) for s in shapes]
    opt = rule(params, **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=draw)
        opt.step()
    assert {type(x) for x in opt._plan.buckets} == {Staged}
    return params, opt


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["soap", "adamuon", "cautious_muon", "ef21_muon"])
def test_it_makes_what_the_function_makes(name, dtype):
    found, numbers = between(getattr(algorithms, name), SOAP if name == "soap" else None)
    (function,) = found
    draw = torch.Generator().manual_seed(1)
    W, *given = torch.rand(1 + len(function.arrays), 3, 5, 4, generator=draw, dtype=dtype)
    told = {x: 0.5 + k / 8 for k, x in enumerate(numbers)}
    told[numbers[0]] = torch.tensor([0.25, 0.5, 0.75], dtype=dtype).reshape(3, 1, 1)  # one for each
    loss = torch.ones(3, 1, 1, dtype=dtype)
    native = midway.midway(function, numbers, dtype, 3, (5, 4))
    (made,), (expected,) = (f(W, *given, loss=loss, **told) for f in (native, function.make))
    assert made.dtype == dtype
    assert made.is_contiguous()
    torch.testing.assert_close(made, expected)
    turned = [x.mT.contiguous().mT for x in given]  # matrices that lie otherwise in memory
    assert torch.equal(native(W, *turned, loss=loss, **told)[0], made)


def test_what_has_no_native_code_is_left_to_torch(monkeypatch):
    def fails(*_):
        raise midway.NotScalarError

    monkeypatch.setattr(midway, "traced", fails)
    (function,), numbers = between(algorithms.adamuon)
    assert midway.midway(function, (*numbers, "other"), torch.float32, 1, (5, 4)) is None


def test_steps_are_those_of_torch_and_are_told(monkeypatch):
    params, opt = stepped(algorithms.soap, monkeypatch, schedule=SOAP)
    assert "by three kernels in C++" in str(opt.explain())
    monkeypatch.setattr("normdsl.compiler.buckets.staged.midway", lambda *_: None)
    others, other = stepped(algorithms.soap, monkeypatch, schedule=SOAP)
    assert "by two kernels in C++" in str(other.explain())
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q)


def test_it_is_called_for_all_matrices_of_a_batch(monkeypatch):
    seen = []
    call = midway.Midway.__call__
    monkeypatch.setattr(
        midway.Midway,
        "__call__",
        lambda self, *given, **told: (seen.append(len(given[1])), call(self, *given, **told))[1],
    )
    stepped(algorithms.adamuon, monkeypatch, steps=1)
    assert seen == [2]


@nd.optimizer
def few(lr=1.0):
    return W - lr * nd.polar(2 * nd.polar(G))


@nd.optimizer
def scaled_by_rows(lr=1.0):
    size = nd.sum(G * G, over="cols")
    return W - lr * nd.polar(nd.sqrt(nd.abs(nd.polar(G)) + 1) * size)


@nd.optimizer
def twice(lr=1.0):
    first = nd.sqrt(nd.abs(nd.polar(G)) + 1) + G
    second = nd.sqrt(nd.abs(nd.polar(first)) + 1) + first
    return W - lr * nd.polar(second)


def test_what_is_a_function_of_its_own():
    assert not between(few)[0]  # one pass over memory is one pass
    assert [x.arrays for x in between(scaled_by_rows)[0]] == [("A0",)]  # and not times the rows
    assert len(between(twice)[0]) == 2


def test_functions_may_read_what_others_make(monkeypatch):
    params, opt = stepped(twice, monkeypatch)
    assert "by 4 kernels" in str(opt.explain())
    schedule = nd.Schedule(compile=False)
    draw = torch.Generator().manual_seed(0)
    others = [nn.Parameter(torch.randn(6, 4, generator=draw)) for _ in range(2)]
    whole = twice(others, schedule=schedule)
    for _ in range(3):
        for p in others:
            p.grad = torch.randn(p.shape, generator=draw)
        whole.step()
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q)


def test_names_of_the_rule_stay_its_own():
    @nd.optimizer
    def named(between=1.0):
        return W - between * nd.polar(nd.sqrt(nd.abs(nd.polar(G)) + between) * 2)

    parts = stages(lower(named, nd.Schedule()))
    assert [x.name for x in parts.between] == ["between_"]
