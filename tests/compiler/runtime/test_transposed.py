"""One batch for matrices and their transposes: fewer calls, the same steps, states as before."""

import math

import pytest
import torch
from taking_turns import SINGLE
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.cli.find import shipped
from normdsl.compiler.batches.members import Context
from normdsl.compiler.buckets import executors
from normdsl.compiler.buckets.matrices import Matrices
from normdsl.compiler.buckets.staged import Staged
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.stages import stages
from normdsl.compiler.lowering.transposable import sized, transposable
from normdsl.compiler.runtime import plan

SHAPES = [(6, 4), (4, 6), (6, 4), (4, 6), (6, 2, 2), (5, 5)]


@nd.optimizer
def direct(lr=0.1, beta: nd.Fraction = 0.9):
    """A rule whose matrix operations read a state as it was, and a number of m and n."""
    m = nd.ema(G, beta)
    return W - lr * nd.rows * (nd.polar(nd.prev(m)) + nd.polar(m)) - lr * nd.cols**-1 * m


OPTIONS = [{}, {"maximize": True}, {"judged": True}, {"lr": torch.tensor(0.05)}]
RULES = [algorithms.muon, algorithms.scion, algorithms.muadam_sania, direct]


def trained(rule, shapes=SHAPES, steps=3, **options):
    """Return parameters and their optimizer after some steps on drawn gradients."""
    g = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=g)) for s in shapes]
    opt = rule(params, view=nd.views.flat, **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=g)
        opt.step()
    return params, opt


def agree(first, second):
    for p, q in zip(first[0], second[0], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
        for key, x in first[1].state[p].items():
            assert x.shape == second[1].state[q][key].shape
            torch.testing.assert_close(x, second[1].state[q][key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("many", "sort"), [(10**9, Matrices), (1, Staged)], ids=["whole", "parts"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_steps_are_those_of_each_shape_on_its_own(rule, many, sort, options, monkeypatch):
    monkeypatch.setattr(executors, "MANY", many)
    together = trained(rule, **options)
    assert [(type(b), b.total) for b in together[1]._plan.buckets] == [(sort, 5), (sort, 1)]
    monkeypatch.setattr(plan, "TURNED_ON_CPU", 0)
    apart = trained(rule, **options)
    assert len(apart[1]._plan.buckets) == 3
    agree(together, apart)


def test_what_parts_cannot_do_is_done_as_a_whole(monkeypatch):
    whole = trained(direct, nonfinite="skip")
    monkeypatch.setattr(executors, "MANY", 1)
    monkeypatch.setattr(Staged, "run", Matrices.run)
    parts = trained(direct, nonfinite="skip")
    assert type(parts[1]._plan.buckets[0]) is Staged
    agree(whole, parts)


@pytest.mark.parametrize("many", [10**9, 1], ids=["whole", "parts"])
def test_a_step_left_out_is_that_of_its_parameter_alone(many, monkeypatch):
    monkeypatch.setattr(executors, "MANY", many)
    params, opt = trained(algorithms.muon, nonfinite="skip")
    before = [p.detach().clone() for p in params]
    for p in params:
        p.grad = torch.ones_like(p)
    params[2].grad[0, 0] = torch.nan
    opt.step()
    assert [torch.equal(p, q) for p, q in zip(params, before, strict=True)] == [
        k == 2 for k in range(len(params))
    ]
    assert opt.state[params[2]]["step"] + 1 == opt.state[params[0]]["step"]


@pytest.mark.parametrize("many", [10**9, 1], ids=["whole", "parts"])
def test_states_have_the_shape_of_their_parameter_and_come_back_from_a_file(many, monkeypatch):
    monkeypatch.setattr(executors, "MANY", many)
    params, opt = trained(algorithms.muon)
    (name,) = {*opt.state[params[0]]} - {"step"}
    for p in params:
        assert opt.state[p][name].shape == p.shape
    opt.state[params[0]][name][0, 1] = 7.0  # users may write them
    saved = opt.state_dict()
    others = [nn.Parameter(p.detach().clone()) for p in params]
    again = algorithms.muon(others, view=nd.views.flat)
    again.load_state_dict(saved)
    for mine in (params, others):
        for k, p in enumerate(mine):
            p.grad = torch.full_like(p, 0.1 * k + 0.1) + torch.eye(*p.shape[:2]).reshape(
                p.shape if p.ndim == 2 else (*p.shape[:2], 1)
            )
    opt.step()
    again.step()
    agree((params, opt), (others, again))
    assert torch.equal(opt.state[params[0]][name], again.state[others[0]][name])


@pytest.mark.parametrize("many", [10**9, 1], ids=["whole", "parts"])
def test_a_trial_reads_all_as_it_stands_in_the_batch(many, monkeypatch):
    monkeypatch.setattr(executors, "MANY", many)
    params, opt = trained(algorithms.muon, [(6, 4), (4, 6)])
    (bucket,) = opt._plan.buckets
    context = Context(algorithms.muon.defaults)
    with torch.no_grad():
        (inputs,) = bucket.inputs(context._replace(numbers=bucket.numbers(context)))
    (name,) = {*opt.state[params[0]]} - {"step"}
    for p, w, state in zip(params[::-1], inputs.weights, inputs.states[0], strict=True):
        turned = p.shape == (6, 4)
        assert torch.equal(w, p.mT if turned else p)
        assert torch.equal(state, opt.state[p][name].mT if turned else opt.state[p][name])


def test_eight_of_a_shape_and_eight_of_its_transpose_are_one_batched_polar_factor():
    shapes = [(64, 256), (256, 64)] * 8
    _, opt = trained(algorithms.muon, shapes, steps=1)
    (bucket,) = opt._plan.buckets
    assert bucket.shapes == [(64, 256)]
    assert "16 × 64 × 256, 8 of them transposed" in opt.explain().runs[0]
    called = []
    real = bucket.stepper.program.arrays.__globals__["polar_zolotarev"]
    code = bucket.parts.value if isinstance(bucket, Staged) else bucket.stepper.program.arrays
    code.__globals__["polar_zolotarev"] = lambda x: called.append(tuple(x.shape)) or real(x)
    try:
        opt.step()
    finally:
        code.__globals__["polar_zolotarev"] = real
    assert called == [(16, 64, 256)]
    _, alone = trained(algorithms.muon, [(64, 256)] * 2, steps=1)
    assert "transposed" not in alone.explain().runs[0]


def test_large_matrices_and_those_that_cannot_stand_there_keep_their_shape():
    large = math.isqrt(plan.TURNED_ON_CPU) + 64
    _, opt = trained(algorithms.muon, [(large, 130), (130, large)], steps=1)
    assert len(opt._plan.buckets) == 2
    two = [(6, 4), (4, 6)]
    by_chance = nd.Schedule(state="bfloat16", rounding="stochastic")  # bits of entries in order
    for rule, schedule in (
        (algorithms.muon, by_chance),
        (algorithms.one_sided_shampoo, None),
        (algorithms.muon, nd.Schedule(polar=nd.SVD())),  # by one matrix after the other anyway
        (algorithms.muon, nd.Schedule(dtype="float64")),
    ):
        _, opt = trained(rule, two, steps=1, schedule=schedule)
        assert len(opt._plan.buckets) == 2


def test_what_commutes_is_seen_from_the_facts_of_its_operations():
    lowered = {name: lower(rule, nd.Schedule()) for name, rule in SINGLE.items()}
    told = {name for name, program in lowered.items() if transposable(program)}
    assert {"muon", "scion", "muadam", "muadam_sania", "adamw"} <= told
    sided = {"shampoo", "soap", "splus", "one_sided_shampoo", "kfac", "affine_muon"}
    assert not sided & told
    for name in ("muadam_sania", "normalized_sgd"):  # the checker says the same
        assert shipped()[name].check("transpose").answer == "invariant"
    assert sized(lowered["muadam_sania"]) == ()
    assert len(sized(lowered["muon"])) == 1  # √max(1, m/n), of which a matrix has its own


@pytest.mark.parametrize("part", [
    nd.sum(G * G, over="cols") * G,
    nd.normal_like(G) * G,
    nd.over_layers(nd.spectral, nd.lp(2)).lmo(G),
    G @ G.T @ G,
])  # fmt: skip
def test_rows_draws_layers_and_products_do_not(part):
    assert not transposable(lower(nd.Declaration("sided", (), W - part), nd.Schedule()))


def test_states_that_matrix_operations_read_are_known():
    assert stages(lower(direct, nd.Schedule())).direct == (0,)
    assert stages(lower(algorithms.muon, nd.Schedule())).direct == ()
