"""Cost: counts by hand, batches, states, refreshing, and torch's profiler as a second opinion."""

import pytest
import torch
from moments import drawn_of
from pairwise import rotated
from taking_turns import in_turn
from torch.profiler import ProfilerActivity, profile

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.cost import cost
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.refresh import COMPUTE, FIRST, KEEP

RULES = in_turn(0)
JORDAN = nd.Schedule(polar=nd.jordan())
SCHEDULES = {
    "exact kernels": nd.Schedule(),
    "products": nd.Schedule(polar=nd.quintic("bfloat16").on_gram(), root=nd.CoupledNewton(9)),
    "refreshed": nd.Schedule(polar=nd.QRSVD(), eigenbasis=nd.QRPower(), refresh=10),
}
M, N = 8, 4
PRODUCTS = ("aten::mm", "aten::bmm", "aten::baddbmm")


def of(rule, schedule=nd.Schedule(), shape=(M, N), **options):  # noqa: B008
    return cost(lower(rule, schedule), shape, **options)


def test_sgd_by_hand():
    found = of(RULES["sgd"])
    assert (found.products, found.factorisations) == (0, 0)
    assert found.entrywise == 4 * M * N  # λ W, G + ·, η ·, W − ·
    assert found.moved == (2 + 3 + 2 + 3) * M * N * 4
    assert found.state == ()


def test_newton_schulz_by_hand():
    for m, n in ((8, 4), (4, 8), (5, 5)):
        k, long = min(m, n), max(m, n)
        found = of(RULES["muon"], JORDAN, (m, n))
        assert found.products == 5 * (2 * k * k * long + 2 * k**3 + 2 * k * k * long)
        assert found.factorisations == 0


def test_two_inverse_roots_by_hand():
    found = of(RULES["shampoo"])
    grams = roots = steps = 0
    for k in (M, N):
        grams += 2 * k * M * N
        roots += 2 * k**3
        steps += 2 * k * M * N
    assert found.products == grams + roots + steps
    assert found.factorisations == 9 * (M**3 + N**3)
    assert found.flops == found.products + found.factorisations + found.entrywise


@pytest.mark.parametrize(("name", "schedule"), rotated(RULES, SCHEDULES, 2))
def test_every_rule_has_a_cost_and_a_batch_costs_its_size(name, schedule):
    """What has no batch (identities, scalars of all layers) is computed once."""
    rule, schedule = RULES[name], SCHEDULES[schedule]
    one, two, three = (of(rule, schedule, batch=b, phase=COMPUTE) for b in (1, 2, 3))
    assert one.entrywise > 0
    assert three.products == 3 * one.products
    assert three.factorisations == 3 * one.factorisations
    assert three.state_bytes == 3 * one.state_bytes
    for part in ("entrywise", "moved"):
        first, second, third = (getattr(x, part) for x in (one, two, three))
        assert first + third == 2 * second
        assert 2 * first < third <= 3 * first


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_states_are_those_that_a_program_makes(rule, schedule):
    program = lower(rule, schedule)
    hyper = {k: 1.0 if v is None else v for k, v in rule.defaults.items()}
    weights = torch.zeros(2, M, N)
    made = program.init(weights, **drawn_of(program, weights), **hyper)
    found = cost(program, (M, N), batch=2).state
    assert [s.name for s in found] == [f.name for f in program.fields]
    assert [s.shape for s in found] == [tuple(x.shape[-2:]) for x in made]
    assert [s.bytes for s in found] == [x.numel() * x.element_size() for x in made]


def test_states_have_the_dtype_of_the_step():
    adam = RULES["adam"]
    for dtype, schedule, expected in (
        (torch.bfloat16, nd.Schedule(), torch.float32),
        (torch.float64, nd.Schedule(), torch.float64),
        (torch.complex128, nd.Schedule(), torch.float64),
        (torch.float32, nd.exact, torch.float64),
    ):
        found = of(adam, schedule, dtype=dtype)
        assert {s.dtype for s in found.state} == {expected}
        assert found.state_bytes == 2 * M * N * expected.itemsize


def test_states_may_be_kept_in_a_dtype_of_their_own():
    program = lower(RULES["muon"], nd.Schedule(polar=nd.jordan(), state={"u_buffer": "bfloat16"}))
    found = cost(program, (M, N))
    assert [(s.dtype, s.bytes) for s in found.state] == [(torch.bfloat16, 2 * M * N)]
    assert found.moved == of(RULES["muon"], JORDAN).moved


def test_kept_values_cost_when_they_are_computed():
    program = lower(RULES["soap"], nd.Schedule(refresh=10))
    first, fresh, kept = (cost(program, (M, N), phase=p) for p in (FIRST, COMPUTE, KEEP))
    assert fresh.factorisations == first.factorisations == 9 * (M**3 + N**3)
    assert kept.factorisations == 0
    mean = cost(program, (M, N))
    assert mean.factorisations == round(fresh.factorisations / 10)
    assert mean.moved == round((fresh.moved + 9 * kept.moved) / 10)
    assert {"Q", "P"} <= {s.name for s in mean.state}


def test_an_orthogonal_iteration_costs_a_product_and_a_decomposition():
    program = lower(RULES["soap"], nd.Schedule(eigenbasis=nd.QRPower()))
    first, later = (cost(program, (M, N), phase=p) for p in (FIRST, COMPUTE))
    assert later.factorisations == sum(2 * (4 * k**3 // 3) for k in (M, N))
    assert later.products - first.products == 2 * (M**3 + N**3)


def test_scalars_of_all_layers_cost_their_surveys():
    total = nd.sum(nd.inner(G, G), over="layers")
    alone = of(nd.Declaration("probe", (), W - nd.inner(G, G) * G))
    joined = of(nd.Declaration("probe", (), W - total * G))
    assert joined.entrywise == alone.entrywise == 4 * M * N


@pytest.mark.parametrize("name", ["shampoo", "affine_muon", "soap"])
def test_the_profiler_counts_the_same_products(name):
    rule = RULES[name]
    program = lower(rule, nd.Schedule())
    w, g = torch.randn(3, M, N), torch.randn(3, M, N)
    states = program.init(w, **rule.defaults)
    clock = torch.full((3, 1, 1), 2.0, dtype=torch.float64)
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as seen:
        program.step(w, g, *states, t=clock, **rule.defaults)
    products = [e.flops for e in seen.events() if e.name in PRODUCTS]
    assert sum(products) == cost(program, (M, N), batch=3).products


def test_the_count_is_the_same_in_inference_mode():
    with torch.inference_mode():
        inside = of(RULES["shampoo"])
    assert inside == of(RULES["shampoo"])


@pytest.mark.parametrize(("shape", "batch"), [((0, 3), 1), ((3, 2.0), 1), ((3, 4), 0)])
def test_a_shape_that_is_none_is_refused(shape, batch):
    with pytest.raises(nd.DeclarationError, match="rows, columns and batch"):
        of(RULES["sgd"], shape=shape, batch=batch)
