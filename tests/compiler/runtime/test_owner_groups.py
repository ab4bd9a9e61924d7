"""Groups of processes that own a matrix together: their step is that of one process."""

import copy
import math

import pytest
import torch
from fake_ranks import Counted, fake_mesh
from in_parts import cut, mapped, part, same, whole, wholes
from ranks import on_ranks
from torch import nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import muon, scion, shampoo
from normdsl.compiler.sharding import convoys, owners
from normdsl.errors import DeclarationError, GradientError

#: A long one, wide or tall, whose parts may be uneven or empty; two that are owned alone.
LONG = ((12, 160), (160, 12), (5, 301), (301, 5))
SHAPES = {long: (long, (9, 4), (3, 2)) for long in LONG}
SCHEDULE = nd.Schedule(polar=nd.jordan().on_gram(3))
_GENERATOR = torch.Generator().manual_seed(0)


def drawn_of(shapes, count=7):
    """Return weights, then gradients."""
    return [
        [torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in shapes]
        for _ in range(count)
    ]


DRAWN = drawn_of(SHAPES[160, 12])
TWO = nd.optimizer(
    lambda lr=0.1, beta=0.9: W + lr * nd.spectral.lmo(nd.ema(G, beta)) - lr * nd.polar(G.T).T
)
#: Of which a group sends rows, columns and numbers that each of its processes has.
LINES = nd.optimizer(
    lambda lr=0.1: (
        W
        + lr * nd.sum(nd.polar(G), over="cols")
        + lr * nd.inner(G, nd.polar(G)) * nd.sum(nd.polar(G), over="rows")
    )
)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    """Let groups own matrices of a size that tests can compute."""
    monkeypatch.setattr(owners, "LARGE", 1000)
    monkeypatch.setattr(owners, "SUMS", 0)


def stepped(rule, place, steps=range(1, 4), drawn=DRAWN, **options):
    options = {"schedule": SCHEDULE, **options}
    params = [nn.Parameter(place(x)) for x in drawn[0]]
    opt = rule(params, **options)
    advance(opt, params, place, steps, drawn)
    return params, opt


def advance(opt, params, place, steps, drawn=DRAWN):
    for k in steps:
        for p, g in zip(params, drawn[k], strict=True):
            p.grad = place(g)
        opt.step()


def on_mesh(rule, sizes, placements, **options):
    """Return weights, owners and the explanation of each process, told what its replicas are."""

    def body(_):
        params, opt = stepped(rule, cut(sizes, placements), replicas=True, **options)
        owned = [int(opt.state[p]["owner"]) for p in params]
        return wholes(params), owned, str(opt.explain())

    return on_ranks(math.prod(sizes), body)


WAYS = [((count,), [Shard(dim)]) for count in (2, 3, 4, 8) for dim in (0, 1)]
WAYS += [
    ((2, 4), [Replicate(), Shard(0)]),
    ((2, 8), [Replicate(), Shard(1)]),
    ((2, 4), [Shard(0), Shard(1)]),
    ((2, 2, 2), [Shard(0), Replicate(), Shard(1)]),
    ((8,), [Replicate()]),
    ((16,), [Shard(0)]),
]


CASES = [(way, LONG[k % 4]) for k, way in enumerate(WAYS)]
CASES += [(way, LONG[(k // 2 + 2) % 4]) for k, way in enumerate(WAYS[4:], 4)]


@pytest.mark.parametrize(("way", "long"), CASES)
@pytest.mark.parametrize("rule", [muon, TWO, LINES])
def test_a_group_steps_as_one_process(rule, way, long):
    drawn, count = drawn_of(SHAPES[long], 4), math.prod(way[0])
    found = on_mesh(rule, *way, drawn=drawn)
    assert all(owned == found[0][1] for _, owned, _ in found)
    assert found[0][1][0] >= count > max(found[0][1][1:])
    same([x for x, *_ in found], stepped(rule, torch.clone, drawn=drawn)[0])
    assert all(all(map(torch.equal, x, found[0][0])) for x, *_ in found)


@pytest.mark.parametrize("rule", [muon, scion])
@pytest.mark.parametrize("name", ["automatic", "gram"])
def test_a_group_steps_as_one_process_in_float32(rule, name):
    """But for the order of sums, within what the method covers."""
    method = nd.Automatic() if name == "automatic" else nd.polar_express(dtype="bfloat16").on_gram()
    drawn = [[x.float() for x in each] for each in DRAWN]
    options = {"schedule": nd.Schedule(polar=method), "drawn": drawn}
    found = on_mesh(rule, (4,), [Shard(0)], **options)
    assert max(found[0][1]) >= 4
    expected, _ = stepped(rule, torch.clone, **options)
    moved = max(
        (x.detach() - y).abs().max().item() for x, y in zip(expected, drawn[0], strict=True)
    )
    tolerance = moved * (1e-4 if name == "automatic" else 2**-6)
    same([x for x, *_ in found], expected, tolerance)


def test_an_explanation_says_who_owns_what():
    drawn = drawn_of((*LONG, (3, 2)), 4)
    (_, _, text), *_ = on_mesh(muon, (8,), [Shard(1)], drawn=drawn)
    assert "polar at the owner of each matrix" in text
    assert "polar of 1 matrix at a group of 8 processes" in text
    assert "A1, A2 (sum within the group)" in text
    assert "polar of 1 matrix by sums over all" in text
    assert "A1, A2 (sum over all)" in text


@pytest.mark.parametrize("wire", [None, "bfloat16"])
def test_convoys_of_groups_and_owners_make_no_difference_of_a_bit(monkeypatch, wire):
    """Also for processes that are in no group of a convoy: turns are those of all."""
    schedule = nd.Schedule(polar=nd.jordan().on_gram(3), wire=wire, group=3)
    shapes = [(16, 640), (16, 672), (16, 704), *[(16, 16), (8, 16), (8, 8)] * 3]
    drawn = drawn_of(shapes, 4)
    together = on_mesh(muon, (6,), [Shard(0)], schedule=schedule, drawn=drawn)
    monkeypatch.setattr(convoys, "MESSAGE", 64)
    apart = on_mesh(muon, (6,), [Shard(0)], schedule=schedule, drawn=drawn)
    assert max(together[0][1]) >= 6 > min(together[0][1])
    for (weights, _, text), (others, _, more) in zip(together, apart, strict=True):
        assert "convoys" not in text
        assert "convoys, each of which travels" in more
        assert all(map(torch.equal, weights, others))


def test_a_nan_is_refused_by_all_and_changes_nothing():
    drawn = copy.deepcopy(DRAWN)
    drawn[2][0][150, 3] = math.nan

    def body(_):
        place = cut((4,), [Shard(0)])
        params, opt = stepped(muon, place, (1,))
        before = mapped(opt.state_dict(), lambda x: part(x).clone())["state"], wholes(params)
        with pytest.raises(
            GradientError, match=r"the gradient of a parameter of shape \(160, 12\)"
        ):
            advance(opt, params, place, (2,), drawn)
        return before, (opt.state_dict()["state"], wholes(params))

    for (states, weights), (states_, weights_) in on_ranks(4, body):
        assert all(map(torch.equal, weights, weights_))
        for k, own in states.items():
            assert all(torch.equal(x, part(states_[k][key])) for key, x in own.items())


def test_a_step_that_is_skipped_is_skipped_by_all():
    drawn = copy.deepcopy(DRAWN)
    drawn[2][0][150, 3] = math.nan
    options = {"nonfinite": "skip", "drawn": drawn}
    found = on_mesh(muon, (4,), [Shard(0)], **options)
    assert max(found[0][1]) >= 4
    same([x for x, *_ in found], stepped(muon, torch.clone, **options)[0])


def test_a_parameter_without_a_gradient_leaves_owners_as_they_are():
    def body(_):
        place = cut((4,), [Shard(0)])
        params, opt = stepped(muon, place, (1,))
        owned = [int(opt.state[p]["owner"]) for p in params]
        for k in (2, 3):
            for j, (p, g) in enumerate(zip(params, DRAWN[k], strict=True)):
                p.grad = place(g) if j != k - 2 else None
            opt.step()
        return wholes(params), owned, [int(opt.state[p]["owner"]) for p in params]

    found = on_ranks(4, body)
    assert all(x == y for _, x, y in found)
    params, opt = stepped(muon, torch.clone, (1,))
    for k in (2, 3):
        for j, (p, g) in enumerate(zip(params, DRAWN[k], strict=True)):
            p.grad = g.clone() if j != k - 2 else None
        opt.step()
    same([x for x, *_ in found], params)


def test_states_are_loaded_by_other_numbers_of_processes():
    """16 → 3 → 1 → 4: groups keep nothing, and what is saved are DTensors in parts."""
    saved, weights, first = None, DRAWN[0], 1
    for count, steps in ((16, 2), (3, 1), (1, 1), (4, 2)):
        last = first + steps

        def body(_, count=count, steps=range(first, last), saved=saved, weights=weights):
            place = cut((count,), [Shard(0)])
            params = [nn.Parameter(place(x)) for x in weights]
            opt = muon(params, schedule=SCHEDULE)
            if saved is not None:
                opt.load_state_dict(mapped(saved, lambda x: place(x) if x.ndim else x.clone()))
            advance(opt, params, place, steps)
            told = opt.state_dict()
            assert all(
                isinstance(x, DTensor) or key == "step"
                for own in told["state"].values()
                for key, x in own.items()
            )
            return wholes(params), mapped(told, whole)

        found = on_ranks(count, body)
        (weights, saved), first = found[0], last
    same([weights], stepped(muon, torch.clone, range(1, 7))[0], 1e-11)


def test_another_schedule_may_need_owners_alone():
    def body(_):
        place = cut((4,), [Shard(0)])
        params, opt = stepped(muon, place, (1,))
        first = int(opt.state[params[0]]["owner"])
        opt.param_groups[0]["schedule"] = nd.exact
        advance(opt, params, place, (2,))
        return wholes(params), first, int(opt.state[params[0]]["owner"])

    params, opt = stepped(muon, torch.clone, (1,))
    opt.param_groups[0]["schedule"] = nd.exact
    advance(opt, params, torch.clone, (2,))
    found = on_ranks(4, body)
    assert all(first >= 4 > then for _, first, then in found)
    same([x for x, *_ in found], params)


def test_a_rule_that_keeps_statistics_has_owners_alone():
    found = on_mesh(shampoo, (4,), [Shard(0)], schedule=nd.Schedule())
    assert max(found[0][1]) < 4


def test_a_cap_is_kept_or_refused_by_all():
    most = 2 * 8 * 160 * 12  # what the largest takes an owner alone, in float64
    within = nd.Schedule(polar=nd.SVD(), owned=most)
    assert max(on_mesh(muon, (4,), [Shard(0)], schedule=within)[0][1]) < 4

    def body(_):
        place = cut((4,), [Shard(0)])
        params = [nn.Parameter(place(x)) for x in DRAWN[0]]
        opt = muon(params, schedule=nd.Schedule(polar=nd.SVD(), owned=most - 1))
        with pytest.raises(DeclarationError, match=f"would have {most:,} bytes"):
            advance(opt, params, place, (1,))
        return wholes(params)

    for each in on_ranks(4, body):
        assert all(map(torch.equal, each, DRAWN[0]))


#: Meshes of shards, or of replicas × shards; groups of all, or of 8 of many.
GRIDS = [(2,), (8,), (64,), (1024,), (2, 4), (16, 4), (4, 16), (16, 64)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("dim", "wire"), [(0, None), (1, "bfloat16")])
def test_a_step_sends_what_its_plan_says(grid, dim, wire):
    """Exactly where parts are even: what all ranks send on average, and flags."""
    count, shards = math.prod(grid), grid[-1]
    shape = (max(64, 2 * shards), 8) if dim == 0 else (8, max(64, 2 * shards))
    schedule = nd.Schedule(polar=nd.jordan().on_gram(3), wire=wire)
    way = "rows" if dim == 0 else "cols"
    check(shape, grid, dim, schedule, muon.plan(shape, count, way, schedule, count // shards))


@pytest.mark.parametrize("count", [8, 64])
def test_a_step_that_cuts_the_short_side_sends_what_its_plan_says(count):
    shape = (64, 16 * 64)
    plan = muon.plan(shape, count, schedule=SCHEDULE)
    assert {"parts → owner", "sum within the group"} <= {x.how for x in plan.sent}
    check(shape, (count,), 0, SCHEDULE, plan)


def check(shape, grid, dim, schedule, plan):
    """Compare a plan of one matrix with what is counted: of its group, and of those beside it."""
    size, count, shards = plan.setting.group, math.prod(grid), grid[-1]
    assert size == owners.group_size(count, 8)
    placements, sent = [Replicate(), Shard(dim)][-len(grid) :], {}
    near, far = max(0, shards - size), max(0, count - max(size, shards))
    for rank in (*range(size), *[size] * (near > 0), *[count - 1] * (far > 0)):
        with fake_mesh(*grid, rank=rank) as mesh:
            place = lambda x: distribute_tensor(x, mesh, placements, src_data_rank=None)  # noqa: E731
            params = [nn.Parameter(place(torch.randn(shape)))]
            opt = muon(params, replicas=True, schedule=schedule)
            params[0].grad = place(torch.randn(shape))
            opt.step()
            with Counted() as seen:
                opt.step()
            sent[rank] = seen.bytes
            grouped = sum("group" in x.how for x in plan.sent) * (rank >= size)
            assert seen.collectives == plan.collectives - grouped + plan.flags * len(grid)
    total = sum(sent[k] for k in range(size)) + near * sent.get(size, 0)
    mean = (total + far * sent[max(sent)]) / count
    flags = plan.flags * 2 * 4 * sum((size - 1) / size for size in grid)
    assert mean == pytest.approx(plan.bytes + flags, rel=1e-9)
