"""Processes that hold parameters together share a step: it is that of one process."""

import copy
import math
from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
from fake_ranks import Counted, fake_mesh
from in_parts import cut, mapped, part, same, whole, wholes
from ranks import on_ranks
from taking_turns import SINGLE, in_turn
from torch import distributed, nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import clipped_sgd, muon, shampoo, soap
from normdsl.compiler.layouts.stepper import stepper
from normdsl.errors import FactorisationError, GradientError
from normdsl.expressions.nodes import Eigenbasis
from normdsl.expressions.traversal import walk

#: Even and uneven parts; rows and columns of which some processes have none; two of one shape.
SHAPES = ((9, 4), (6, 8), (8, 6), (9, 4), (2, 5))
#: Of which all Gram matrices have full rank: an eigenbasis of others is what rounding makes of it.
SQUARES = ((9, 9), (6, 6), (8, 8), (9, 9), (2, 2))
_GENERATOR = torch.Generator().manual_seed(0)
DRAWN, FULL = (
    [[torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in each] for _ in range(7)]
    for each in (SHAPES, SQUARES)
)
#: Whose roots of matrices without full rank rounding decides as well.
_ROOTS = ("one_sided_shampoo",)


@lru_cache
def drawn(rule):
    """Return weights, then gradients, at which what a rule computes is a function of them."""
    graph = stepper(rule, nd.Schedule()).program.graph
    turns = any(isinstance(x, Eigenbasis) for root in graph for x in walk(root))
    return FULL if turns or rule.name in _ROOTS else DRAWN


#: How many processes there are, and what is cut: each rule in turn has one, those of `OFTEN` all.
WAYS = [(count, dim) for count in (2, 3, 4, 8) for dim in (0, 1)]
OFTEN = ("muon", "soap")
CASES = [(name, *WAYS[k % len(WAYS)]) for k, name in enumerate(in_turn(5))]
CASES += [(name, *way) for name in OFTEN for way in WAYS if (name, *way) not in CASES]


def stepped(rule, place, steps=range(1, 4), weights=None, grads=None, **options):
    """Return parameters and an optimizer after some steps."""
    params = [nn.Parameter(place(x)) for x in weights or drawn(rule)[0]]
    opt = rule(params, **options)
    advance(rule, opt, params, place, steps, grads)
    return params, opt


def advance(rule, opt, params, place, steps, grads=None):
    grads = grads or drawn(rule)
    loss = stepper(rule, nd.Schedule()).reads_loss
    for k in steps:
        for p, g in zip(params, grads[k], strict=True):
            p.grad = place(g)
        opt.step(loss=torch.tensor(float(k))) if loss else opt.step()


def on_mesh(rule, sizes, placements, **options):
    def body(_):
        return wholes(stepped(rule, cut(sizes, placements), replicas=True, **options)[0])

    return on_ranks(math.prod(sizes), body)


@pytest.mark.parametrize(("name", "count", "dim"), CASES)
def test_a_rule_steps_as_in_one_process(name, count, dim):
    rule = SINGLE[name]
    program = stepper(rule, nd.Schedule()).program
    if program.phases or program.declaration.asides:
        pytest.skip("its step reads more than gradients and the loss: tests of their own")
    expected, _ = stepped(rule, torch.clone)
    # Roots of matrices without full rank, mn × mn: rounding makes as much of one in a batch.
    tolerance = 1e-9 if name == "full_matrix_adagrad" else 1e-12
    same(on_mesh(rule, (count,), [Shard(dim)]), expected, tolerance)


MESHES = [
    ((2, 2), [Replicate(), Shard(0)]),
    ((2, 2), [Shard(0), Shard(1)]),
    ((2, 3), [Shard(1), Replicate()]),
    ((2, 2, 2), [Shard(0), Replicate(), Shard(1)]),
    ((2, 2, 2), [Replicate(), Shard(0), Replicate()]),
    ((3,), [Replicate()]),
]


@pytest.mark.parametrize(("sizes", "placements"), MESHES)
@pytest.mark.parametrize("rule", [muon, soap, clipped_sgd, nd.algorithms.adafactor])
def test_a_rule_steps_as_in_one_process_on_meshes_of_several_axes(rule, sizes, placements):
    same(on_mesh(rule, sizes, placements), stepped(rule, torch.clone)[0])


@pytest.mark.parametrize("rule", [muon, soap, clipped_sgd])
def test_parameters_of_one_mesh_may_be_cut_along_other_axes(rule):
    """As under `fully_shard` after tensor parallelism, which leaves some parameters whole."""
    ways = [[Shard(0), Shard(1)], [Shard(0), Replicate()], [Replicate(), Shard(1)]] * 2

    def body(_):
        mesh = distributed.device_mesh.init_device_mesh("cpu", (2, 2))
        each = [
            lambda x, way=way: distribute_tensor(x.clone(), mesh, way, src_data_rank=None)
            for way in ways
        ]
        params = [nn.Parameter(place(x)) for place, x in zip(each, drawn(rule)[0], strict=False)]
        opt = rule(params, replicas=True)
        for k in range(1, 4):
            for place, p, g in zip(each, params, drawn(rule)[k], strict=False):
                p.grad = place(g)
            opt.step()
        return wholes(params)

    same(on_ranks(4, body), stepped(rule, torch.clone)[0])


@pytest.mark.parametrize("rule", [muon, soap])
def test_rows_may_be_cut_by_tensor_parallelism_first(rule):
    """As `fully_shard` does after it: the axis of the mesh that cuts last comes first."""
    even = [[x.repeat(4, 1)[:8] for x in each] for each in DRAWN]
    expected, _ = stepped(rule, torch.clone, weights=even[0], grads=even)

    def body(_):
        mesh = distributed.device_mesh.init_device_mesh("cpu", (2, 2))
        placements = [_StridedShard(0, split_factor=2), Shard(0)]
        inner, outer = mesh.get_local_rank(1), mesh.get_local_rank(0)

        def place(x):
            own = x.chunk(2)[inner].chunk(2)[outer]
            return DTensor.from_local(
                own.clone(), mesh, placements, run_check=False, shape=x.shape, stride=x.stride()
            )

        params, _ = stepped(rule, place, weights=even[0], grads=even)
        pairs = zip(params, expected, strict=True)
        return [(p.to_local().detach(), place(w.detach()).to_local()) for p, w in pairs]

    for each in on_ranks(4, body):
        same([[x for x, _ in each]], [y for _, y in each])


@pytest.mark.parametrize("rule", [muon, shampoo, clipped_sgd])
def test_a_step_that_is_skipped_is_skipped_by_all(rule):
    grads = copy.deepcopy(DRAWN)
    grads[2][1][3, 3] = math.nan
    options = {"nonfinite": "skip"}
    expected, one = stepped(rule, torch.clone, grads=grads, **options)

    def body(_):
        params, opt = stepped(rule, cut((4,), [Shard(0)]), grads=grads, **options)
        return wholes(params), [int(opt.state[p]["step"]) for p in params]

    found = on_ranks(4, body)
    same([x for x, _ in found], expected)
    assert all(steps == [int(one.state[p]["step"]) for p in expected] for _, steps in found)


@pytest.mark.parametrize("judged", [False, True])
def test_a_nan_is_refused_by_all_and_changes_nothing(judged):
    grads = copy.deepcopy(drawn(soap))
    grads[2][3][8, 3] = math.nan

    def body(_):
        place = cut((4,), [Shard(0)])
        params, opt = stepped(soap, place, steps=(1,), judged=judged)
        before = mapped(opt.state_dict(), lambda x: part(x).clone())["state"], wholes(params)
        with pytest.raises(GradientError, match=r"the gradient of a parameter of shape \(9, 9\)"):
            advance(soap, opt, params, place, (2,), grads)
        return before, (opt.state_dict()["state"], wholes(params))

    for (states, weights), (states_, weights_) in on_ranks(4, body):
        assert all(map(torch.equal, weights, weights_))
        for k, own in states.items():
            assert all(torch.equal(x, part(states_[k][key])) for key, x in own.items())


def test_a_factorisation_that_fails_at_its_owner_is_refused_by_all(monkeypatch):
    """Only one process computes it; the others learn of it before they write."""
    eigh = torch.linalg.eigh

    def fails(x):
        if x.shape[-1] == 8:
            raise torch.linalg.LinAlgError("no convergence")
        return eigh(x)

    def body(_):
        place = cut((3,), [Shard(0)])
        params = [nn.Parameter(place(x)) for x in DRAWN[0]]
        opt = shampoo(params)
        with pytest.raises(FactorisationError):
            advance(shampoo, opt, params, place, (1,))
        return wholes(params)

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    for each in on_ranks(3, body):
        assert all(map(torch.equal, each, DRAWN[0]))


@pytest.mark.parametrize(("rule", "schedule"), [(soap, nd.Schedule(refresh=3)), (muon, None)])
def test_states_are_loaded_by_other_numbers_of_processes(rule, schedule):
    """8 → 3 → 1 → 4, also between two refreshes; what is saved are DTensors alone."""
    expected, _ = stepped(rule, torch.clone, range(1, 7), schedule=schedule)
    saved, weights, first = None, drawn(rule)[0], 1
    for count, steps in ((8, 2), (3, 1), (1, 1), (4, 2)):
        last = first + steps

        def body(_, count=count, steps=range(first, last), saved=saved, weights=weights):
            place = cut((count,), [Shard(0)])
            params = [nn.Parameter(place(x)) for x in weights]
            opt = rule(params, schedule=schedule)
            if saved is not None:
                opt.load_state_dict(mapped(saved, lambda x: place(x) if x.ndim else x.clone()))
            advance(rule, opt, params, place, steps)
            told = opt.state_dict()
            kinds = {
                (k, key, type(x)) for k, own in told["state"].items() for key, x in own.items()
            }
            all_of_it = mapped(told, whole)
            held = [sorted(opt.state[p]) for p in params]
            return SimpleNamespace(weights=wholes(params), saved=all_of_it, kinds=kinds, held=held)

        found = on_ranks(count, body)
        assert all(x.kinds == found[0].kinds and x.held == found[0].held for x in found)
        assert all(
            key in ("step", "refresh_offset") or t is DTensor for _, key, t in found[0].kinds
        )
        saved, weights, first = found[0].saved, found[0].weights, last
    same([weights], expected, 1e-13)


def test_an_owner_has_whole_statistics_and_others_none():
    def body(rank):
        params, opt = stepped(shampoo, cut((3,), [Shard(0)]))
        owner = [int(opt.state[p]["owner"]) for p in params]
        return owner, [tuple(opt.state[p]["L"].shape) for p in params], str(opt.explain())

    found = on_ranks(3, body)
    owners = found[0][0]
    assert set(owners) == {0, 1, 2}
    for rank, (told, sizes, text) in enumerate(found):
        assert told == owners
        assert sizes == [
            (s[0], s[0]) if owner == rank else (0, 0)
            for s, owner in zip(SHAPES, owners, strict=True)
        ]
        assert "divided among 3 processes" in text


@pytest.mark.parametrize("rule", [shampoo, soap])
def test_what_owners_have_is_saved_by_all_replicas(rule):
    """On replicas × shards: each of them has its part, of what one process would have."""
    _, alone = stepped(rule, torch.clone)
    expected = alone.state_dict()["state"]

    def body(_):
        _, opt = stepped(rule, cut((2, 2), [Replicate(), Shard(0)]), replicas=True)
        state = opt.state_dict()["state"]
        return {
            (k, key): x.full_tensor() if isinstance(x, DTensor) else x
            for k, own in state.items()
            for key, x in own.items()
        }

    for found in on_ranks(4, body):
        for (k, key), x in found.items():
            torch.testing.assert_close(x, expected[k][key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [muon, shampoo, soap], ids=lambda r: r.name)
def test_states_of_matrices_of_one_size_are_one_batch(rule):
    """So that a step stacks none of them; those of an owner as well."""

    def body(_):
        eight = [[x[3]] * 4 for x in FULL]
        params, opt = stepped(rule, cut((2,), [Shard(0)]), (1,), eight[0], eight)
        held = [{key: part(x) for key, x in opt.state[p].items()} for p in params]
        names = [f.name for f in stepper(rule, nd.Schedule()).program.fields]
        return [
            {x[name].untyped_storage().data_ptr() for x in held if x[name].numel()}
            for name in names
        ]

    for found in on_ranks(2, body):
        assert all(len(each) == 1 for each in found)


@nd.optimizer
def late(lr=0.1):
    """Each state becomes what another one was."""
    first = nd.prev(G)
    second = nd.prev(first)
    return nd.prev(W) + lr * nd.spectral.lmo(second + nd.prev(second))


def test_a_state_may_become_what_another_one_was():
    expected, _ = stepped(late, torch.clone, range(1, 6))
    same(
        on_ranks(3, lambda _: wholes(stepped(late, cut((3,), [Shard(0)]), range(1, 6))[0])),
        expected,
    )


#: Meshes of shards, or of replicas × shards.
GRIDS = [(2,), (8,), (64,), (1024,), (2, 1), (2, 4), (16, 4), (4, 16), (16, 64)]
SENT = [(rule, grid, None) for rule in (muon, soap, clipped_sgd) for grid in GRIDS]
SENT += [(rule, grid, "bfloat16") for rule in (muon, clipped_sgd) for grid in ((8,), (16, 4))]


@pytest.mark.parametrize(("rule", "grid", "wire"), SENT)
def test_a_step_sends_what_its_plan_says(rule, grid, wire):
    """Exactly where parts are even: what all ranks send on average, and flags."""
    count, shards, schedule = math.prod(grid), grid[-1], nd.Schedule(wire=wire)
    plan, sent = rule.plan((shards, 8), count, schedule=schedule, replicas=count // shards), []
    placements = [Replicate(), Shard(0)][-len(grid) :]
    owner, near, far = 0, 1, shards  # the owner, one of its replica, one of another
    for rank in (owner, near, far)[: 2 if len(grid) == 1 else 3]:
        with fake_mesh(*grid, rank=rank) as mesh:
            place = lambda x: distribute_tensor(x, mesh, placements, src_data_rank=None)  # noqa: E731
            params = [nn.Parameter(place(torch.randn(shards, 8)))]
            opt = rule(params, replicas=True, schedule=schedule)
            params[0].grad = place(torch.randn(shards, 8))
            opt.step()
            with Counted() as seen:
                opt.step()
            sent.append(seen.bytes)
            assert seen.collectives == plan.collectives + plan.flags * len(grid)
    mean = (sent[0] + (shards - 1) * sent[1] + (count - shards) * sent[-1]) / count
    flags = plan.flags * 2 * 4 * sum((size - 1) / size for size in grid)
    assert mean == pytest.approx(plan.bytes + flags, rel=1e-9)
