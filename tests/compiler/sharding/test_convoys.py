"""Convoys: how many there are, what is in them, and that one travels while others are computed."""

import pytest
import torch
from fake_ranks import Counted, fake_mesh
from ranks import on_ranks
from torch import distributed, nn
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from normdsl.algorithms import muon, soap
from normdsl.compiler.sharded.block_step import BlockStep
from normdsl.compiler.sharding import convoys
from normdsl.compiler.sharding.convoys import MESSAGE, Load
from normdsl.compiler.sharding.owners import Job, dealt, work
from normdsl.compiler.sharding.setting import setting_of

#: Of which a matrix begins where a vector register can be loaded: so it is computed alike anywhere.
SHAPES = [(8, 8), (16, 8), (8, 16)] * 4
_GENERATOR = torch.Generator().manual_seed(0)
DRAWN = [[torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in SHAPES]] * 3


def loads(shapes, processes, moves=2):
    owners = dealt(list(map(Job, shapes)), processes)
    settings = [setting_of(shape, processes, "rows") for shape in shapes]
    return [Load(s, owner, moves) for s, owner in zip(settings, owners, strict=True)]


def test_small_models_cross_at_once():
    assert set(convoys.convoys(loads([(64, 64)] * 48, 8))) == {0}
    assert set(convoys.convoys(loads([(4096, 4096)] * 48, 8, moves=0))) == {0}


def test_messages_are_not_smaller_than_what_is_worth_one():
    large = loads([(4096, 4096)] * 48, 8)
    found = convoys.convoys(large)
    count = max(found) + 1
    assert set(found) == set(range(count))
    assert 1 < count <= 6  # each owner has six
    assert sum(4 * 4096**2 for _ in large) / count / (8 * 8) >= MESSAGE
    assert set(convoys.convoys(loads([(4096, 4096)] * 48, 64))) == {0}  # none has two


def test_every_owner_has_its_share_of_each_convoy():
    shapes = [(4096, 4096), (4096, 1024), (4096, 11008)] * 16
    given = loads(shapes, 4)
    found = convoys.convoys(given)
    count = max(found) + 1
    assert count > 1
    for owner in range(4):
        mine = [k for k, x in enumerate(given) if x.owner == owner]
        total, most = sum(work(shapes[k]) for k in mine), max(work(shapes[k]) for k in mine)
        for convoy in range(count):
            share = sum(work(shapes[k]) for k in mine if found[k] == convoy)
            assert abs(share - total / count) <= most


def test_no_convoy_is_empty():
    """Where one matrix takes longer than all others, there is nothing for those in between."""
    settings = [setting_of((m, m), 1, "rows") for m in (16384, *[64] * 7)]
    found = convoys.convoys([Load(s, 0, 2) for s in settings])
    assert sorted(set(found)) == list(range(max(found) + 1)) == [0, 1]


def stepped(sizes, placements, rule, **options):
    def body(_):
        mesh = distributed.device_mesh.init_device_mesh("cpu", sizes)
        place = lambda x: distribute_tensor(x.clone(), mesh, placements, src_data_rank=None)  # noqa: E731
        params = [nn.Parameter(place(x)) for x in DRAWN[0]]
        opt = rule(params, replicas=True, **options)
        for each in DRAWN[1:]:
            for p, g in zip(params, each, strict=True):
                p.grad = place(g)
            opt.step()
        return [p.full_tensor().detach() for p in params], str(opt.explain())

    return on_ranks(int(torch.tensor(sizes).prod()), body)


@pytest.mark.parametrize(
    ("sizes", "placements"), [((2,), [Shard(0)]), ((2, 2), [Replicate(), Shard(0)])]
)
@pytest.mark.parametrize("rule", [muon, soap])
def test_convoys_make_no_difference_of_a_bit(monkeypatch, rule, sizes, placements):
    together = stepped(sizes, placements, rule)
    monkeypatch.setattr(convoys, "MESSAGE", 64)
    apart = stepped(sizes, placements, rule)
    for (weights, text), (others, more) in zip(together, apart, strict=True):
        assert "convoys" not in text
        assert "convoys, each of which travels while others are computed" in more
        assert all(map(torch.equal, weights, others))


@pytest.mark.parametrize("grid", [(4,), (2, 4)])
@pytest.mark.parametrize("rule", [muon, soap])
def test_each_convoy_has_the_collectives_of_the_plan(monkeypatch, rule, grid):
    """And all of them together its bytes, whoever owns what."""
    monkeypatch.setattr(convoys, "MESSAGE", 32)
    count, sent = 4 * grid[0] if len(grid) > 1 else 4, []
    plan = rule.plan((16, 16), count, replicas=count // 4, matrices=3 * count)
    assert 1 < plan.convoys <= 3
    assert f"{plan.collectives} collectives for each of {plan.convoys} convoys" in str(plan)
    for rank in range(count):
        with fake_mesh(*grid, rank=rank) as mesh:
            step, opt = fake_step(rule, mesh, 3 * count)
            with Counted() as seen:
                step()
            sent.append(seen.bytes)
            flags = plan.flags * len(grid)
            assert seen.collectives == plan.convoys * plan.collectives + flags
            assert f"in {plan.convoys} convoys" in str(opt.explain())
    flags = plan.flags * 2 * 4 * sum((size - 1) / size for size in grid)
    mean = sum(sent) / count
    assert mean == pytest.approx(3 * count * plan.bytes + flags, rel=1e-9)


def fake_step(rule, mesh, matrices):
    """Return a second step of some matrices on a fake mesh, and its optimizer."""
    placements = [Replicate(), Shard(0)][-mesh.ndim :]
    place = lambda: distribute_tensor(torch.randn(16, 16), mesh, placements, src_data_rank=None)  # noqa: E731
    params = [nn.Parameter(place()) for _ in range(matrices)]
    opt = rule(params, replicas=True)
    for p in params:
        p.grad = place()
    opt.step()
    return opt.step, opt


def test_owners_compute_one_convoy_while_another_travels(monkeypatch):
    """Two of them: both are sent before the first is waited for, and come back in turn."""
    monkeypatch.setattr(convoys, "MESSAGE", 128)
    events, compute, send = [], BlockStep.compute, distributed.all_to_all_single

    def computes(self, now):
        events.append(f"compute {self.block.convoy}" if now.owner else "shards")
        compute(self, now)

    def sends(*args, **options):
        assert options["async_op"]
        begun, count = send(*args, **options), sum("send" in x for x in events)
        events.append(f"send {count}")
        wait = begun.wait

        class Work:
            def wait(self):
                events.append(f"wait {count}")
                return wait()

        return Work()

    with fake_mesh(2) as mesh:
        step, opt = fake_step(muon, mesh, 4)
        assert "2 convoys" in str(opt.explain())
        monkeypatch.setattr(BlockStep, "compute", computes)
        monkeypatch.setattr(distributed, "all_to_all_single", sends)
        step()
    crossing = [x for x in events if x != "shards"]
    first = ["send 0", "send 1", "wait 0", "compute 0", "send 2"]
    assert crossing == [*first, "wait 1", "compute 1", "send 3", "wait 2", "wait 3"]
