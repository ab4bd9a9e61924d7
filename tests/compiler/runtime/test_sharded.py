"""Parameters and models that several processes hold together step as those of one process.

In one process where they can: a thread for each rank, or one rank of a fake group.
"""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl.algorithms import (
    adamw,
    affine_muon,
    kl_shampoo,
    shampoo,
    soap,
    splus,
)
from normdsl.compiler.batches.starts import require_gradient
from normdsl.compiler.layouts.shards import placed
from normdsl.errors import GradientError

SCRIPT = Path(__file__).parents[2] / "two_processes.py"
#: Nine rows on four processes: three, three, three, none; a row, which one has; two of one shape.
SHAPES = ((9, 4), (9, 4), (1, 9))
_GENERATOR = torch.Generator().manual_seed(0)
DRAWN = [
    [torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in SHAPES] for _ in range(3)
]


@contextmanager
def mesh_of(size, rank=0):
    """Processes on a line, of which this is one, without the others."""
    distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=size)
    try:
        yield distributed.device_mesh.init_device_mesh("cpu", (size,))
    finally:
        distributed.destroy_process_group()


def stepped(rule, place, **options):
    weights, *grads = DRAWN
    params = [nn.Parameter(place(x)) for x in weights]
    opt = rule(params, **options)
    for each in grads:
        for p, g in zip(params, each, strict=True):
            p.grad = place(g)
        opt.step()
    return params, opt


@pytest.mark.parametrize("rule", [shampoo, kl_shampoo, soap, splus, affine_muon])
def test_no_state_is_a_sum_over_processes(rule):
    """Once: The first save refused them."""
    with mesh_of(1) as mesh:
        _, opt = stepped(rule, lambda x: parts(x, mesh))
        saved = opt.state_dict()["state"].values()
        kept = [x for own in saved for x in own.values() if isinstance(x, DTensor)]
        assert kept
        assert not any(place.is_partial() for x in kept for place in x.placements)


class Touched(TorchDispatchMode):
    """Counts operations on DTensors, and collectives."""

    dtensors = collectives = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        Touched.dtensors += any(issubclass(x, DTensor) for x in types)
        Touched.collectives += "c10d" in func.namespace
        return func(*args, **(kwargs or {}))


def parts(x, mesh):
    return distribute_tensor(x.clone(), mesh, [Shard(0)], src_data_rank=None)


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("native", [None, True])
def test_an_entrywise_rule_never_operates_on_dtensors(rank, nonfinite, native):
    """Two reductions of flags in a step: of what it is made from, and of what it makes."""
    options = {"nonfinite": nonfinite, "schedule": nd.Schedule(compile=native)}
    whole, _ = stepped(adamw, torch.clone, **options)
    with mesh_of(4, rank) as mesh:
        shards, opt = stepped(adamw, lambda x: parts(x, mesh), **options)
        assert "on each of 4 processes its own part" in str(opt.explain())
        for p, w in zip(shards, whole, strict=True):
            torch.testing.assert_close(p.to_local(), parts(w.detach(), mesh).to_local())
        assert opt.state[shards[0]]["m_buffer"].placements == (Shard(0),)
        Touched.dtensors = Touched.collectives = 0
        with Touched():
            opt.step()
        assert Touched.dtensors == 0
        assert Touched.collectives == (2 if nonfinite == "raise" else 3)


def test_rows_that_were_cut_before_are_cut_again():
    """FSDP2 over tensor parallelism: rows are cut for the second axis of the mesh first."""
    w = torch.arange(10.0).reshape(5, 2)
    for rank in range(4):
        with mesh_of(4, rank):
            mesh = distributed.device_mesh.init_device_mesh("cpu", (2, 2))
            own = w.chunk(2)[rank % 2].chunk(2)[rank // 2]
            placements = [_StridedShard(0, split_factor=2), Shard(0)]
            options = {"run_check": False, "shape": w.shape, "stride": w.stride()}
            p = DTensor.from_local(own, mesh, placements, **options)
            assert torch.equal(placed(w, p).to_local(), own)


def test_a_gradient_may_be_a_sum_that_is_not_summed_yet():
    with mesh_of(1) as mesh:
        p = nn.Parameter(distribute_tensor(torch.zeros(2), mesh, [Replicate()]))
        p.grad = DTensor.from_local(torch.ones(2), mesh, [Partial()])
        nd.optimizer(lambda lr=1.0: nd.W - lr * nd.G)([p]).step()
        assert p.to_local().tolist() == [-1, -1]


def test_a_parameter_that_is_a_sum_is_refused():
    with mesh_of(1) as mesh:
        p = nn.Parameter(DTensor.from_local(torch.ones(2), mesh, [Partial()]))
        with pytest.raises(GradientError, match="no process holds an entry"):
            adamw([p])


def test_a_plain_gradient_of_a_sharded_parameter_is_refused():
    with mesh_of(1) as mesh:
        sharded = nn.Parameter(distribute_tensor(torch.zeros(2), mesh, [Shard(0)]))
        with pytest.raises(GradientError, match="the parameter is a DTensor"):
            require_gradient("adamw", sharded, torch.ones(2))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each of two processes saw; see `two_processes.py`."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, str(SCRIPT), str(folder / "store"), str(folder / "saved")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stderr
    return [json.loads((folder / f"store.{rank}").read_text()) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["routed", "clipped", "drawn", "loss"])
def test_fully_shard_steps_as_one_process(seen, what):
    assert all(x[what] < 1e-12 for x in seen)


@pytest.mark.slow
def test_what_travels_in_bfloat16_is_what_one_process_says(seen):
    assert all(x["wired"] < 1e-12 for x in seen)


@pytest.mark.slow
def test_convoys_travel_while_others_are_computed(seen):
    for error, in_convoys in (each["overlapped"] for each in seen):
        assert in_convoys
        assert error < 1e-12


def test_a_nan_on_one_process_is_refused_by_all_of_them(seen):
    (first, moved, steps), other = (x["raise"] for x in seen)
    assert "the gradient of 0.weight (6, 6)" in first
    assert other == [first, moved, steps]
    assert not any(moved)
    assert set(steps) == {1}


@pytest.mark.slow
def test_a_nan_on_one_process_skips_that_parameter_on_all_of_them(seen):
    said, moved, steps = seen[0]["skip"]
    assert seen[1]["skip"] == seen[0]["skip"]
    assert not said
    assert moved == [False] + [True] * 7
    assert steps == [1] + [2] * 7


@pytest.mark.slow
def test_states_of_shards_are_saved_and_loaded(seen):
    assert all(x["saved"] == [0.0, False] for x in seen)


@pytest.mark.slow
def test_replicas_read_the_mean_loss_and_mean_moments(seen):
    assert all(x["replicas"]["loss"] < 1e-12 for x in seen)
    assert all(x["replicas"]["moments"][0] < 1e-12 for x in seen)


@pytest.mark.slow
def test_what_replicas_cannot_read_together_is_refused_by_all_of_them(seen):
    for found in (x["replicas"] for x in seen):
        assert all("replicas=True" in said for said in found["unsaid"])
        assert not found["fine"]
        assert "loss" in found["no loss"]
        assert "other seeds" in found["seeds"]
        assert "shapes or entries" in found["layers"]
        assert "backward pass" in found["moments"][1]


@pytest.mark.slow
def test_an_optimizer_that_was_made_before_its_model_was_sharded_says_so_once(seen):
    assert all(len(x["early"]) == 1 and "fully_shard" in x["early"][0] for x in seen)
