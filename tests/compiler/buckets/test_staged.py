"""Stages: entry-wise parts of matrix rules as native code, the same steps as whole."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.buckets import executors
from normdsl.compiler.buckets.matrices import Matrices
from normdsl.compiler.buckets.memory import Memory
from normdsl.compiler.buckets.staged import Staged
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.stages import stages

#: Rules, and after how many steps they compute kept values anew.
RULES = [("muon", 1), ("muadam_sania", 1), ("shampoo", 2), ("soap", 2), ("normalized_sgd", 1)]
SHAPES = [(6, 4), (6, 4), (4, 6)]


def trained(rule, many, monkeypatch, shapes=SHAPES, steps=4, **options):
    """Return parameters and their optimizer after some steps on drawn gradients."""
    monkeypatch.setattr(executors, "MANY", many)
    g = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=g)) for s in shapes]
    opt = rule(params, **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape[::-1], generator=g).T
            p.grad = p.grad if len(params) > 1 else p.grad.contiguous()
        opt.step()
    return params, opt


@pytest.mark.parametrize(("name", "refresh"), RULES)
def test_stages_make_the_same_step(name, refresh, monkeypatch):
    rule, schedule = getattr(algorithms, name), nd.Schedule(refresh=refresh, dtype="float64")
    whole, before = trained(rule, 10**9, monkeypatch, schedule=schedule)
    parts, after = trained(rule, 1, monkeypatch, schedule=schedule)
    assert {type(x) for x in before._plan.buckets} == {Matrices}
    assert {type(x) for x in after._plan.buckets} == {Staged}
    # Entries are the same bit for bit, but products of matrices that start elsewhere may not be.
    for p, q in zip(whole, parts, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)  # which are kept in float32
        for key, x in before.state[p].items():
            torch.testing.assert_close(x, after.state[q][key], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", [{"maximize": True}, {"judged": True}], ids=str)
def test_options_mean_the_same(options, monkeypatch):
    whole, _ = trained(algorithms.muon, 10**9, monkeypatch, **options)
    parts, opt = trained(algorithms.muon, 1, monkeypatch, **options)
    assert type(opt._plan.buckets[0]) is Staged
    assert all(map(torch.equal, whole, parts))


def test_several_matrices_of_one_parameter_are_members_of_the_table(monkeypatch):
    shapes, view = [(3, 4, 4), (3, 4, 4)], nd.views.stack
    whole, _ = trained_stacks(10**9, monkeypatch, shapes, view)
    parts, opt = trained_stacks(1, monkeypatch, shapes, view)
    (bucket,) = opt._plan.buckets
    assert (type(bucket), bucket.table.members) == (Staged, 6)
    assert all(map(torch.equal, whole, parts))


def trained_stacks(many, monkeypatch, shapes, view):
    monkeypatch.setattr(executors, "MANY", many)
    g = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=g)) for s in shapes]
    opt = algorithms.muon(params, view=view)
    for _ in range(3):
        for p in params:
            p.grad = torch.randn(p.shape, generator=g)
        opt.step()
    return params, opt


def test_a_step_that_is_refused_changes_nothing(monkeypatch):
    params, opt = trained(algorithms.muon, 1, monkeypatch)
    before = [x.detach().clone() for p in params for x in (p, *opt.state[p].values())]
    params[2].grad = torch.full_like(params[2], torch.nan)
    with pytest.raises(nd.GradientError, match="nothing was changed"):
        opt.step()
    after = [x for p in params for x in (p, *opt.state[p].values())]
    assert all(map(torch.equal, before, after))


def test_what_overflows_is_reported(monkeypatch):
    @nd.optimizer
    def cubed(lr=1.0):
        return W - lr * (G @ G.T @ G) ** 3

    params, opt = trained(cubed, 1, monkeypatch)
    assert type(opt._plan.buckets[0]) is Staged
    params[1].grad = torch.full_like(params[1], 1e7)
    with pytest.raises(nd.GradientError, match="the step was taken"):
        opt.step()


def test_gradients_are_not_copied_together(monkeypatch):
    monkeypatch.setattr("normdsl.compiler.runtime.plan.LARGEST_ON_CPU", 2**20)
    params = [nn.Parameter(torch.ones(600, 500)) for _ in range(2)]
    opt = algorithms.muon(params, schedule=nd.Schedule(polar=nd.jordan()))
    for p in params:
        p.grad = torch.randn_like(p)
    opt.step()
    (bucket,) = opt._plan.buckets
    assert type(bucket) is Staged
    assert bucket._work is None
    assert "by two kernels in C++" in opt.explain().runs[0]


def fed_in_place(monkeypatch, shapes, dtype=torch.float32, **options):
    """Return whether matrix operations of SOAP read the gradient where it is."""
    monkeypatch.setattr(executors, "MANY", 1)
    params = [nn.Parameter(torch.ones(s, dtype=dtype)) for s in shapes]
    for p in params:
        p.grad = torch.rand(p.shape[::-1], dtype=dtype).T
    opt = algorithms.soap(params, **options)
    opt.step()
    bucket, grads = opt._plan.buckets[0], [p.grad.clone() for p in params]
    assert type(bucket) is Staged
    for p in params:
        p.grad = p.grad.contiguous()
    asked, batches = [], Memory.batches
    monkeypatch.setattr(
        Memory, "batches", lambda self, *of: (asked.append(of), batches(self, *of))[1]
    )
    opt.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(params, grads, strict=True))
    return not asked


def test_the_gradient_of_one_parameter_is_read_where_it_is(monkeypatch):
    assert fed_in_place(monkeypatch, [(6, 4)])
    assert fed_in_place(monkeypatch, [(5, 6, 4)], view=nd.views.stack)
    assert not fed_in_place(monkeypatch, [(6, 4), (6, 4)])
    assert not fed_in_place(monkeypatch, [(6, 4)], maximize=True)
    assert not fed_in_place(monkeypatch, [(6, 4)], dtype=torch.bfloat16)
    assert not fed_in_place(monkeypatch, [(6, 4)], nonfinite="skip")


@nd.optimizer
def noisy(lr=1.0):
    return W - lr * nd.polar(G + nd.normal_like(G))


@nd.optimizer
def jointly(lr=1.0):
    return W - lr * nd.polar(G) / (1 + nd.sum(nd.sum(G * G), over="layers"))


@nd.optimizer
def late(lr=1.0):
    return W - lr * nd.polar(nd.prev(G))


@pytest.mark.parametrize(
    ("rule", "schedule", "why"),
    [
        (algorithms.muon, nd.Schedule(compile=False), "compile=False asks"),
        (algorithms.soap, nd.Schedule(state="bfloat16", refresh=2), "kept values are rounded"),
        (noisy, nd.Schedule(), "it draws random numbers"),
        (jointly, nd.Schedule(), "layers share scalars"),
        (late, nd.Schedule(), "entries are not made both before and after its matrix"),
    ],
)
def test_why_entries_are_not_native_code_is_told(rule, schedule, why, monkeypatch):
    _, opt = trained(rule, 1, monkeypatch, [(6, 4)], steps=1, schedule=schedule)
    (run,) = opt.explain().runs
    assert f": 1 parameter steps as one batch, 1 × 6 × 4, by torch's operations, as {why}" in run


def test_few_entries_and_matrices_that_do_not_lie_one_after_the_other_are_told(monkeypatch):
    p = nn.Parameter(torch.ones(4, 6).T)
    p.grad = torch.ones(6, 4)
    for many, why in ((25, "24 entries are few"), (1, "matrices do not lie in memory one after")):
        monkeypatch.setattr(executors, "MANY", many)
        opt = algorithms.muon([p])
        opt.step()
        assert f"by torch's operations, as {why}" in opt.explain().runs[0]


def test_the_parts_of_a_rule_are_entries_around_matrix_operations():
    parts = stages(lower(algorithms.muon, nd.Schedule()))
    assert (parts.arrays, parts.fed, parts.values) == (("W", "G", "S0"), ("F0",), ("V0",))
    assert parts.changed == ("W", "S0")
    assert stages(lower(algorithms.adamw, nd.Schedule())) is None


def test_rows_are_no_entries():
    @nd.optimizer
    def by_rows(lr=1.0):
        return W - lr * nd.polar(G) * nd.sum(G * G, over="cols")

    parts = stages(lower(by_rows, nd.Schedule()))
    assert parts.values == ("V0",)
    assert "sum" in parts.code.split("def value")[1].split("def entries")[0]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["adamw", "muadam", "shampoo"])
def test_native_code_of_gpus_steps_as_that_of_cpus(name, monkeypatch):
    monkeypatch.setattr(executors, "MANY", 1)
    rule, schedule = getattr(algorithms, name), nd.Schedule(polar=nd.jordan(dtype="float32"))
    drawn = [torch.randn(48, 32) for _ in range(3)]
    ours = [[nn.Parameter(x.to(kind)) for x in drawn] for kind in ("cpu", "cuda")]
    opts = [rule(params, schedule=schedule) for params in ours]
    for _ in range(3):
        grads = [torch.randn(48, 32) for _ in drawn]
        for params, opt in zip(ours, opts, strict=True):
            for p, g in zip(params, grads, strict=True):
                p.grad = g.to(p.device)
            opt.step()
    assert "Triton" in str(opts[1].explain())
    for p, q in zip(*ours, strict=True):
        torch.testing.assert_close(p, q.cpu(), rtol=1e-4, atol=1e-5)
