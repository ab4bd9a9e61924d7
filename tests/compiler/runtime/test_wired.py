"""What the wire rounds: as much among processes as one process says that it would be."""

import pytest
import torch
from ranks import on_ranks
from torch import distributed, nn
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, clipped_sgd, kl_shampoo, muon, shampoo, soap, svd_lora
from normdsl.compiler.runtime.schedule_error import Wired

NARROW = nd.Schedule(wire="bfloat16")
SHAPE = (8, 8)
_GENERATOR = torch.Generator().manual_seed(1)
START, *SLOPES = (torch.randn(SHAPE, generator=_GENERATOR, dtype=torch.float64) for _ in range(5))


@nd.optimizer
def layered(lr=0.1):
    """Its survey needs an owner as well: the spectral norm of each layer."""
    total = nd.sum(nd.spectral.value(G), over="layers")
    return W - lr * total * nd.polar(nd.ema(G, 0.5))


def alone(rule, schedule, cut="rows"):
    """Return the weights after steps of one process that plays all."""
    pure, w = Wired(rule, schedule, 2, cut), START
    state = pure.init(w)
    for g in SLOPES:
        w, state = pure.update(g, state, w)
    return w


def together(rule, schedule, sizes, placements):
    """Return the weights that each rank has after steps of processes that share them."""

    def body(_):
        mesh = distributed.device_mesh.init_device_mesh("cpu", sizes)
        place = lambda x: distribute_tensor(x.clone(), mesh, placements, src_data_rank=None)  # noqa: E731
        param = nn.Parameter(place(START))
        opt = rule([param], schedule=schedule, replicas=True)
        for g in SLOPES:
            param.grad = place(g)
            opt.step()
        locals_ = param.to_local().detach()
        return (param.full_tensor().detach(), locals_, mesh.get_coordinate(), str(opt.explain()))

    return on_ranks(int(torch.tensor(sizes).prod()), body)


MESHES = [((2,), [Shard(0)]), ((4,), [Shard(1)]), ((2, 2), [Replicate(), Shard(0)])]


@pytest.mark.parametrize(("sizes", "placements"), MESHES)
@pytest.mark.parametrize("rule", [muon, kl_shampoo, layered])
def test_one_process_tells_what_many_compute(rule, sizes, placements):
    cut = "rows" if placements[-1] == Shard(0) else "cols"
    expected, exact = alone(rule, NARROW, cut), alone(rule, nd.Schedule(), cut)
    found = together(rule, NARROW, sizes, placements)
    moved = (exact - START).norm()
    for weights, *_ in found:
        assert (weights - expected).norm() < 1e-10 * moved
    assert 1e-4 * moved < (expected - exact).norm() < 0.2 * moved


@pytest.mark.parametrize("rule", [muon, soap])
def test_replicas_stay_equal_bit_by_bit(rule):
    found = together(rule, NARROW, (2, 2), [Replicate(), Shard(0)])
    places = {at: own for _, own, at, _ in found}
    for shard in range(2):
        assert torch.equal(places[0, shard], places[1, shard])


def test_it_is_explained():
    ((*_, text), _) = together(muon, NARROW, (2,), [Shard(0)])
    assert "u (parts → owner, in bfloat16), polar(u) (owner → parts, in bfloat16)" in text
    assert "bfloat16" in str(muon.plan((64, 32), schedule=NARROW))


def test_a_plan_counts_half_of_the_bytes():
    exact, narrow = (muon.plan((64, 32), schedule=s) for s in (nd.Schedule(), NARROW))
    assert narrow.bytes == exact.bytes / 2
    assert narrow.share == exact.share / 2
    assert narrow.collectives == exact.collectives
    double = nd.Schedule(dtype="float64", wire="float32")
    assert muon.plan((64, 32), schedule=double).share == exact.share / 2


@pytest.mark.parametrize("wire", [None, "float32"])
def test_what_is_not_narrower_changes_nothing(wire):
    plan = muon.plan((64, 32), schedule=nd.Schedule(wire=wire))
    assert plan.bytes == muon.plan((64, 32)).bytes
    assert {x.dtype for x in plan.sent} == {""}


def test_sums_and_what_depends_on_weights_travel_as_they_are():
    sums = clipped_sgd.plan((64, 32), schedule=NARROW)
    assert {x.dtype for x in sums.sent} == {""}
    assert sums.bytes == clipped_sgd.plan((64, 32)).bytes
    weights = svd_lora.plan((64, 32), schedule=NARROW)
    assert {x.how: x.dtype for x in weights.sent} == {"parts → owner": "", "owner → parts": ""}
    both = nd.optimizer(lambda lr=0.1: nd.polar(W - lr * nd.polar(G)))
    plan = both.plan((64, 32), schedule=NARROW)
    assert {x.dtype for x in plan.sent} == {"", "bfloat16"}
    assert plan.collectives == len({(x.after, x.dtype) for x in plan.sent})


def test_an_error_of_the_wire_is_measured_alone():
    """Of float32 it is that of one rounding; entry-wise rules and sums have none."""
    slopes = SLOPES[:2]
    error = {
        (rule.name, wire): max(nd.schedule_error(rule, nd.Schedule(wire=wire), slopes))
        for rule in (muon, shampoo, adamw, clipped_sgd)
        for wire in ("bfloat16", "float32", None)
    }
    for name in ("muon", "shampoo"):
        assert 1e-4 < error[name, "bfloat16"] < 0.2
        assert 1e-9 < error[name, "float32"] < 1e-5
        assert error[name, None] < 1e-10
    for name in ("adamw", "clipped_sgd"):
        assert error[name, "bfloat16"] == pytest.approx(error[name, None], abs=1e-14)
    none = nd.schedule_error(muon, NARROW, slopes, cut="none")
    assert max(none) < 1e-10  # nothing is in parts
    with pytest.raises(nd.HyperparameterError, match="rows"):
        nd.schedule_error(muon, NARROW, slopes, cut="row")


def test_kept_values_are_those_of_what_was_sent():
    schedule = nd.Schedule(wire="bfloat16", refresh=3)
    expected = alone(soap, schedule)
    for weights, *_ in together(soap, schedule, (2,), [Shard(0)]):
        torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-9)
