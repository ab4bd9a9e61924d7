"""Skipping: who may not step keeps what it has, the others step, and all is computed once."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.batches import running
from normdsl.compiler.buckets import executors
from normdsl.compiler.buckets.chunks import Chunks
from normdsl.compiler.buckets.fused import Fused
from normdsl.compiler.buckets.staged import Staged
from normdsl.compiler.native.cpu import Cpu

SHAPES = [(6, 4), (6, 4), (6, 4)]


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """Let few entries step by native code too."""
    monkeypatch.setattr(executors, "MANY", 1)


def made(rule, shapes=SHAPES, **options):
    """Return parameters and their optimizer, which has taken a step."""
    g = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=g)) for s in shapes]
    opt = rule(params, **{"nonfinite": "skip", **options})
    stepped(opt, params, 1)
    return params, opt


def stepped(opt, params, seed, scales=()):
    """Take a step on drawn gradients, the first ones times a scale, without one where it is 0."""
    for k, p in enumerate(params):
        scale = scales[k] if k < len(scales) else 1.0
        drawn = torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * seed + k))
        p.grad = drawn * scale if scale else None
    opt.step()


def held(opt, p):
    return [x.detach().clone() for x in (p, *opt.state[p].values())]


@nd.optimizer
def cubes(lr=1.0):
    return W - lr * nd.ema(G**3, 0.5)


@nd.optimizer
def products(lr=1.0):
    return W - lr * nd.ema((G @ G.T @ G) ** 3, 0.5)


@nd.optimizer
def grams(lr=1.0):
    return W - lr * nd.accumulate(G @ G.T) @ nd.ema(G, 0.5)


RULES = [(algorithms.adamw, 1, Fused), (algorithms.muon, 1, Staged), (grams, 1, Staged),
         (algorithms.shampoo, 2, Staged), (algorithms.soap, 2, Staged)]  # fmt: skip


@pytest.mark.parametrize(("rule", "refresh", "kind"), RULES, ids=lambda x: getattr(x, "name", ""))
def test_native_code_leaves_out_what_is_not_finite(rule, refresh, kind):
    """The others step as beside one without a gradient, then and later."""
    schedule = nd.Schedule(refresh=refresh)
    (params, opt), (others, beside) = (made(rule, schedule=schedule) for _ in range(2))
    assert {type(x) for x in opt._plan.buckets} == {kind}
    before = held(opt, params[1])
    for seed in (2, 3):
        stepped(opt, params, seed, [1.0, torch.nan])
        stepped(beside, others, seed, [1.0, 0.0])
    assert all(map(torch.equal, before, held(opt, params[1])))
    stepped(opt, params, 4)
    stepped(beside, others, 4)
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(held(opt, p), held(beside, q), rtol=1e-5, atol=1e-6)


@pytest.fixture
def asked(monkeypatch):
    """How many members each call of native code takes, and whether it writes."""
    calls, step = [], Cpu.step

    def noting(self, table, numbers, ok, write, keys=None):
        calls.append((table.members if ok is None else int(ok.sum()), write))
        return step(self, table, numbers, ok, write, keys)

    monkeypatch.setattr(Cpu, "step", noting)
    return calls


def test_entries_are_computed_once_but_for_very_large_gradients(asked):
    params, opt = made(algorithms.adamw)
    asked.clear()
    stepped(opt, params, 2, [torch.nan])
    assert asked == [(0, False), (2, True)]
    asked.clear()
    stepped(opt, params, 3, [1.0, 1e16])
    assert asked == [(1, False), (3, True)]
    asked.clear()
    stepped(opt, params, 4, [1.0, 1e30])
    assert asked == [(1, False), (2, True)]


def test_matrix_operations_are_computed_once(asked, monkeypatch):
    params, opt = made(algorithms.muon, judged=True)
    calls, valued = [], running.valued
    monkeypatch.setattr(running, "valued", lambda *x, **y: calls.append(1) or valued(*x, **y))
    monkeypatch.setattr(running, "step", None)
    asked.clear()
    stepped(opt, params, 2, [torch.nan])
    assert (len(calls), asked) == (1, [(3, True), (2, False), (2, True)])


def test_small_parameters_are_computed_once_by_chunks_too(monkeypatch):
    params, opt = made(algorithms.adamw, schedule=nd.Schedule(compile=False))
    (bucket,) = opt._plan.buckets
    assert type(bucket) is Chunks
    calls, step = [], running.step
    monkeypatch.setattr(running, "step", lambda *x: calls.append(1) or step(*x))
    stepped(opt, params, 2, [torch.nan])
    assert len(calls) == len(bucket.chunks) == 1


@pytest.mark.parametrize("rule", [cubes, products], ids=lambda r: r.name)
def test_what_overflows_is_not_written_if_results_are_judged(rule):
    params, opt = made(rule, judged=True)
    before = held(opt, params[0])
    stepped(opt, params, 2, [1e13])
    assert all(map(torch.equal, before, held(opt, params[0])))
    assert [int(opt.state[p]["step"]) for p in params] == [1, 2, 2]


@pytest.mark.parametrize("rule", [cubes, products], ids=lambda r: r.name)
def test_who_overflowed_steps_again_once_its_weights_are_set(rule):
    params, opt = made(rule)
    stepped(opt, params, 2, [1e13])
    assert not torch.isfinite(params[0]).all()
    for x in [x for key, x in opt.state[params[0]].items() if key != "step"]:
        x.zero_()
    before = held(opt, params[0])
    stepped(opt, params, 3)
    torch.testing.assert_close(held(opt, params[0]), before, rtol=0, atol=0, equal_nan=True)
    with torch.no_grad():
        params[0].zero_()
    stepped(opt, params, 4)
    assert torch.isfinite(params[0]).all()
    assert params[0].any()
