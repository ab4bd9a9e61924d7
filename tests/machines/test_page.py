"""The page on thousands of ranks is what the model gives, and says what its tables say."""

import json
import math

import pytest
import torch
from fake_ranks import Counted, fake_mesh
from torch import nn
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from machines import large, model, page
from machines.networks import NETWORKS
from normdsl.algorithms import muon


def test_the_page_is_up_to_date():
    assert page.PAGE.read_text() == page.page(json.loads(page.FIGURES.read_text())), (
        "run: PYTHONPATH=tests python -m machines.page"
    )


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: x.name)
def test_what_the_page_says_of_ways(network):
    for count in page.COUNTS:
        owner = model.owner(network, count).total
        assert owner < min(f(network, count).total for f in (model.gathered, model.summed))
        step = model.step(network.matrices, count)
        assert bool(step.shared) is (count >= (4096 if network.name == "70 B" else 1024))
        gain = owner / step.time.total
        assert gain > 1 if step.shared else gain == 1
        if step.shared and network.name != "1 B":
            assert (1.5 < gain < 1.6) if network.name == "70 B" else (1.05 < gain < 1.25)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: x.name)
def test_what_the_page_says_of_convoys(network):
    for count in page.COUNTS:
        found, convoys = model.owner(network, count), model.in_convoys(network, count)
        assert convoys == 1 or not (found.single or found.limit == "messages")
        assert found.overlapped(1) == found.total
        assert found.overlapped(convoys) <= found.total
    busy = model.owner(network, 8), model.in_convoys(network, 8)
    assert busy[1] > 1
    assert busy[0].overlapped(busy[1]) < busy[0].work + 0.5 * busy[0].sent


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: x.name)
def test_what_the_page_says_of_replicas(network):
    two = {s: model.hybrid(network, 4096, s, hops=2).total for s in page.SHARDS}
    assert min(two, key=two.get) == (64 if network.name == "1 B" else 256)
    alone, one = model.owner(network, 4096), model.hybrid(network, 4096, 256, hops=1)
    assert (one.total > alone.total) is (network.name != "1 B")


@pytest.mark.parametrize("network", NETWORKS, ids=lambda x: x.name)
def test_what_the_page_says_of_large_matrices(network):
    for count in page.COUNTS:
        alone, step = (large.owned(network, count, x).time.total for x in (False, True))
        gain = alone / step
        assert gain >= 1
        assert network.name != "1 B" or count == 8 or 1.5 < gain < 6.5
        among = large.divided(network, count).total
        assert (among < alone) is (network.name == "1 B")


def test_work_is_linear_in_the_long_side():
    divided, rest = model.work((256, 512))
    whole = muon.cost((256, 2048), schedule=model.SCHEDULE).products
    assert 4 * divided + rest == whole > 4 * rest > 0


@pytest.mark.parametrize("replicas", [2, 16])
def test_what_an_owner_sends_does_not_grow_with_replicas(replicas):
    """What the page says that a step does, counted: to its replica, and a part along replicas."""
    shape, shards = (16, 8), 4
    with fake_mesh(replicas, shards) as mesh:
        place = lambda x: distribute_tensor(  # noqa: E731
            x, mesh, [Replicate(), Shard(0)], src_data_rank=None
        )
        param = nn.Parameter(place(torch.randn(shape)))
        opt = muon([param], replicas=True)
        param.grad = place(torch.randn(shape))
        opt.step()
        with Counted() as seen:
            opt.step()
    assert int(opt.state[param]["owner"]) == 0
    size, flags = 4 * math.prod(shape), 100
    part = size / shards
    assert seen.bytes == pytest.approx(size - part + 2 * part, abs=part / replicas * 2 + flags)
    assert seen.bytes < size + part + flags
