"""States rounded by chance: they arrive where averages stand still, and resumes are bit for bit."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muon, soap
from normdsl.compiler.buckets import chunks, executors
from normdsl.compiler.buckets.fused import Fused
from normdsl.compiler.buckets.staged import Staged

NEAREST = nd.Schedule(state="bfloat16")
CHANCE = nd.Schedule(state="bfloat16", rounding="stochastic")
RULES = {
    "entries": (adamw, CHANCE),
    "matrices": (muon, nd.Schedule(polar=nd.jordan(), state="bfloat16", rounding="stochastic")),
    "kept": (soap, nd.Schedule(state="bfloat16", rounding="stochastic", refresh=3)),
}
STACK = nd.views.stack


@nd.optimizer
def momenta(lr=0.1):
    """Of six states, which take their bits from two draws."""
    return W - lr * sum(nd.ema(G, k / 10) for k in range(1, 7))


cases = pytest.mark.parametrize(("rule", "schedule"), RULES.values(), ids=RULES)


def params():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(6, 4)) for _ in range(3)]


def run(opt, ps, steps, first=0):
    for step in range(first, first + steps):
        draw = torch.Generator().manual_seed(step)
        for p in ps:
            p.grad = torch.randn(p.shape, generator=draw, dtype=p.dtype)
        opt.step()


def second_moment(schedule, steps=300, beta2=0.999):
    """Return AdamW's v after steps with gradients 1, from v = ½: E v = 1 − ½ βᵗ."""
    p = nn.Parameter(torch.zeros(64, 64))
    opt = adamw([p], schedule=schedule, beta2=beta2)
    p.grad = torch.ones_like(p)
    opt.step()
    (name,) = [k for k, x in opt.state[p].items() if x.ndim and bool((x - 1e-3).abs().max() < 1e-4)]
    opt.state[p][name].fill_(0.5)
    for _ in range(steps):
        opt.step()
    return opt.state[p][name].double()


def test_an_average_that_stands_still_by_nearest_rounding_arrives_by_chance():
    """(1 − β₂)(g² − v) = 0.0005 is less than half the gap 2⁻⁸ of bfloat16 at ½."""
    expected = 1 - 0.5 * 0.999**300
    assert torch.equal(second_moment(NEAREST), torch.full((64, 64), 0.5, dtype=torch.float64))
    found = second_moment(CHANCE)
    # One entry is off by about √300 · √(0.0005 · 2⁻⁸) = 0.024, the mean of 4096 by 64 times less.
    assert abs(found.mean() - expected) < 5 * 0.024 / 64
    assert 0.005 < found.std() < 0.05


@cases
def test_a_resume_goes_on_bit_for_bit_and_seeds_differ(rule, schedule):
    ours, theirs, others = params(), params(), params()
    opt = rule(ours, schedule=schedule)
    run(opt, ours, 3)
    resumed = rule(theirs, schedule=schedule)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    with torch.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            q.copy_(p)
    run(opt, ours, 4, first=3)
    run(resumed, theirs, 4, first=3)
    assert all(map(torch.equal, ours, theirs))
    run(rule(others, schedule=schedule, seed=1), others, 7)
    assert not all(map(torch.equal, ours, others))


@cases
def test_the_pure_form_rounds_alike(rule, schedule):
    ps, tree = params(), [p.detach().clone() for p in params()]
    opt, pure = rule(ps, schedule=schedule), nd.functional(rule, schedule)
    state = pure.init(tree)
    run(opt, ps, 1)
    draw = torch.Generator().manual_seed(0)
    _, state = pure.update([torch.randn(6, 4, generator=draw) for _ in ps], state, tree)
    kept = [k for k, x in opt.state[ps[0]].items() if x.dtype == torch.bfloat16]
    assert kept
    for name in kept:
        for p, x in zip(ps, state[name], strict=True):
            assert torch.equal(opt.state[p][name], x)


def test_parts_of_a_large_parameter_are_rounded_as_the_whole(monkeypatch):
    whole, cut = (nn.Parameter(torch.ones(40, 30)) for _ in range(2))
    opt = adamw([whole], schedule=CHANCE)
    run(opt, [whole], 2)
    monkeypatch.setattr(chunks, "CHUNK", 100)
    other = adamw([cut], schedule=CHANCE)
    run(other, [cut], 2)
    assert torch.equal(whole, cut)
    assert all(torch.equal(other.state[cut][k], x) for k, x in opt.state[whole].items())


@pytest.mark.parametrize("rule", [adamw, muon, momenta], ids=lambda r: r.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_native_code_rounds_to_the_same_bits(rule, dtype, monkeypatch):
    """In stages entries are numbered in their parameter, which may be several matrices."""
    shapes, view = ([(6, 4), (3, 20, 30)], None) if rule is not muon else ([(3, 6, 4)] * 2, STACK)
    found = []
    for many in (10**9, 1):
        monkeypatch.setattr(executors, "MANY", many)
        torch.manual_seed(0)
        ps = [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in shapes]
        opt = rule(ps, schedule=CHANCE, view=view)
        run(opt, ps, 3)
        found.append([x for p in ps for x in opt.state[p].values()])
    assert {type(x) for x in opt._plan.buckets} == {Staged if rule is muon else Fused}
    assert any(x.dtype == torch.bfloat16 for x in found[0])
    assert all(map(torch.equal, *found))


def test_a_parameter_of_several_sizes_is_rounded_by_chance_as_well():
    p = nn.Parameter(torch.ones(4, 6))
    schedule, view = RULES["matrices"][1], nd.views.split(1, 3)
    one, two = (muon([p], schedule=schedule, view=view, seed=k, lr=0.0) for k in range(2))
    run(one, [p], 3)
    run(two, [p], 3)
    pairs = [(one.state[p][k], two.state[p][k]) for k in one.state[p] if k != "step"]
    assert pairs
    assert not all(torch.equal(x, y) for x, y in pairs)


def test_its_error_is_that_of_a_schedule():
    draw = torch.Generator().manual_seed(0)
    slopes = [torch.randn(6, 4, generator=draw) for _ in range(20)]
    exact, chance = (nd.schedule_error(adamw, s, slopes)[-1] for s in (nd.Schedule(), CHANCE))
    assert exact < 1e-5 < chance < 0.02


def test_it_is_told():
    opt = adamw(params(), schedule=CHANCE)
    assert "bfloat16 by stochastic rounding" in str(opt.explain())


@pytest.mark.parametrize("state", [None, "float16", {"m": "float32"}])
def test_rounding_by_chance_is_of_bfloat16_alone(state):
    with pytest.raises(nd.DeclarationError, match="stochastic rounding"):
        nd.Schedule(state=state, rounding="stochastic")
    with pytest.raises(nd.DeclarationError, match=r"rounding=.stocastic"):
        nd.Schedule(rounding="stocastic")
