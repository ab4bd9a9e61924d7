"""Parameters that are several matrices, held by processes in parts: steps are those of one process.

Where matrices lie whole nothing crosses, also where parts are uneven or empty; others have owners.
"""

import math

import pytest
import torch
from fake_ranks import Counted, fake_mesh
from in_parts import cut, mapped, part, same, whole, wholes
from ranks import on_ranks
from torch import distributed, nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adafactor, adamw, clipped_sgd, kl_shampoo, muon, shampoo, soap
from normdsl.compiler.buckets import executors
from normdsl.errors import FactorisationError, GradientError

stack, heads, split = nd.views.stack, nd.views.heads, nd.views.split


@nd.optimizer
def drawing(lr=0.1):
    return W - lr * nd.frobenius.lmo(G + nd.normal_like(W)) - lr * nd.signs_like(W)


@nd.optimizer
def rows_of_momentum(lr=0.1):
    """A state of parts besides one that an owner has."""
    v = nd.ema(nd.sum(G * G, over="cols"), 0.9)
    return W - lr * nd.spectral.sharp(G) / (1 + nd.sqrt(v))


@nd.optimizer
def normalized(lr=0.1):
    return W + lr * nd.frobenius.lmo(nd.ema(G, 0.9))


RULES = [muon, soap, shampoo, kl_shampoo, adafactor, clipped_sgd, drawing, rows_of_momentum]


class Case:
    """Parameters of some shapes, seen by a view, on a mesh."""

    def __init__(self, shapes, view, sizes, placements):
        self.shapes, self.view, self.sizes, self.placements = shapes, view, sizes, placements
        generator = torch.Generator().manual_seed(0)
        self.drawn = [
            [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
            for _ in range(7)
        ]

    def stepped(self, rule, place, steps=(1, 2, 3), **options):
        params = [nn.Parameter(place(x)) for x in self.drawn[0]]
        opt = rule(params, view=self.view, **options)
        self.advance(opt, params, place, steps)
        return params, opt

    def advance(self, opt, params, place, steps):
        for k in steps:
            for p, g in zip(params, self.drawn[k], strict=True):
                p.grad = place(g)
            opt.step()

    @property
    def place(self):
        return cut(self.sizes, self.placements)

    def on_ranks(self, rule, **options):
        """Return on each rank the weights after some steps, and what the optimizer says of them."""

        def body(_):
            params, opt = self.stepped(rule, self.place, replicas=True, **options)
            return wholes(params), str(opt.explain())

        return on_ranks(math.prod(self.sizes), body)


EXPERTS = ((5, 6, 6), (5, 6, 6), (2, 6, 6))
FUSED = ((12, 6), (12, 6), (12, 6))
#: Matrices that lie whole on processes: even, uneven, and none on some; on meshes of two axes.
WHOLE = {
    "2": Case(EXPERTS, stack, (2,), [Shard(0)]),
    "3": Case(EXPERTS, stack, (3,), [Shard(0)]),
    "8": Case(EXPERTS, stack, (8,), [Shard(0)]),
    "replicas": Case(EXPERTS, stack, (2, 2), [Replicate(), Shard(0)]),
    "twice": Case([(4, 6, 6), (8, 6, 6)], stack, (2, 2), [Shard(0), Shard(0)]),
    "stacks of stacks": Case([(3, 2, 6, 6)], stack, (2, 2), [Shard(1), Shard(0)]),
    "heads": Case(FUSED, heads(4), (2,), [Shard(0)]),
    "heads of columns": Case([(6, 12)], heads(4, axis=1), (2,), [Shard(1)]),
    "fused": Case(FUSED, split(4, 4, 4), (3,), [Shard(0)]),
    "gates of experts": Case([(5, 6, 12)], split(6, 6, axis=-1, each=stack), (3,), [Shard(0)]),
}
#: Matrices that are cut, or of several sizes.
CUT = {
    "rows of experts": Case(EXPERTS, stack, (4,), [Shard(1)]),
    "columns of experts": Case(EXPERTS, stack, (3,), [Shard(2)]),
    "experts and rows": Case(EXPERTS, stack, (2, 2), [Shard(0), Shard(1)]),
    "experts and columns": Case(EXPERTS, stack, (2, 3), [Shard(2), Shard(0)]),
    "parts of heads": Case(FUSED, heads(3), (8,), [Shard(0)]),
    "columns of heads": Case(FUSED, heads(3), (4,), [Shard(1)]),
    "parts of queries": Case(FUSED, split(6, 3, 3), (8,), [Shard(0)]),
    "queries alone": Case(FUSED, split(6, 3, 3), (2,), [Shard(0)]),
    "queries of replicas": Case(FUSED, split(6, 6), (2, 3), [Replicate(), Shard(0)]),
    "rows of gates": Case([(5, 6, 12)], split(6, 6, axis=-1, each=stack), (4,), [Shard(1)]),
    "inputs of convolutions": Case([(4, 3, 2, 2)], nd.views.flat, (2,), [Shard(1)]),
    "transposed convolutions": Case([(3, 4, 2, 2)], nd.views.swapped, (2,), [Shard(0)]),
}
CASES = {**WHOLE, **CUT}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_matrices_step_as_in_one_process(rule, case):
    expected, _ = CASES[case].stepped(rule, torch.clone)
    found = CASES[case].on_ranks(rule)
    same([x for x, _ in found], expected, 1e-10)
    for _, told in found:
        assert "gathered" not in told
        assert ("nothing crosses" in told) is (case in WHOLE)
        assert ("what crosses" in told) is (case in CUT)


@pytest.mark.parametrize("case", ["8", "heads", "gates of experts"])
@pytest.mark.parametrize("rule", [muon, shampoo, soap], ids=lambda r: r.name)
def test_what_lies_whole_sends_nothing_but_flags(rule, case):
    """Whether all may step, whether all is finite, and whether a factorisation has failed."""
    own = CASES[case]
    for rank in (0, own.sizes[0] - 1):
        with fake_mesh(*own.sizes, rank=rank) as mesh:
            place = lambda x: distribute_tensor(x, mesh, own.placements, src_data_rank=None)  # noqa: E731
            params, opt = own.stepped(rule, place, steps=(1,))
            for p in params:
                p.grad = place(torch.ones(p.shape, dtype=p.dtype))
            with Counted() as seen:
                opt.step()
            flags = 2 + len(opt._plan.buckets)
            assert seen.collectives == flags
            assert seen.bytes <= flags * 2 * 8


@pytest.mark.parametrize("count", [2, 64, 1024])
def test_as_many_experts_as_processes_send_nothing_but_flags(count):
    with fake_mesh(count, rank=count - 1) as mesh:
        place = lambda x: distribute_tensor(x, mesh, [Shard(0)], src_data_rank=None)  # noqa: E731
        param = nn.Parameter(place(torch.ones(count, 4, 3)))
        opt = muon([param], view=stack)
        param.grad = place(torch.ones(count, 4, 3))
        opt.step()
        with Counted() as seen:
            opt.step()
        assert seen.bytes <= 3 * 2 * 8
        assert opt.state[param]["u_buffer"].to_local().shape == (1, 4, 3)


@pytest.mark.parametrize("case", ["8", "heads of columns", "parts of heads", "experts and rows"])
def test_a_step_that_is_skipped_is_skipped_on_all(case):
    own = CASES[case]
    old, own.drawn[2][0][..., 3] = own.drawn[2][0][..., 3].clone(), math.nan
    try:
        expected, one = own.stepped(shampoo, torch.clone, nonfinite="skip")

        def body(_):
            params, opt = own.stepped(shampoo, own.place, nonfinite="skip")
            return wholes(params), [int(opt.state[p]["step"]) for p in params]

        for weights, steps in on_ranks(math.prod(own.sizes), body):
            same([weights], expected, 1e-10)
            assert steps == [int(one.state[p]["step"]) for p in expected]
            assert min(steps) == 2
    finally:
        own.drawn[2][0][..., 3] = old


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("case", ["8", "heads of columns"])
def test_a_factorisation_that_fails_on_one_is_refused_by_all(monkeypatch, case, judged):
    """Nothing is written, also by those whose matrices are fine or that have none."""
    own, eigh = CASES[case], torch.linalg.eigh

    def fails(x):
        if distributed.get_rank() == 0:
            raise torch.linalg.LinAlgError("no convergence")
        return eigh(x)

    def body(_):
        params = [nn.Parameter(own.place(x)) for x in own.drawn[0]]
        opt = shampoo(params, view=own.view, judged=judged)
        with pytest.raises(FactorisationError):
            own.advance(opt, params, own.place, (1,))
        return wholes(params)

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    for each in on_ranks(math.prod(own.sizes), body):
        assert all(map(torch.equal, each, own.drawn[0]))


def test_a_nan_on_one_is_refused_by_all():
    own = CASES["8"]
    old, own.drawn[1][1][4] = own.drawn[1][1][4].clone(), math.nan

    def body(_):
        params = [nn.Parameter(own.place(x)) for x in own.drawn[0]]
        with pytest.raises(GradientError, match=r"shape \(5, 6, 6\).*nothing was changed"):
            own.advance(muon(params, view=own.view), params, own.place, (1,))
        return wholes(params)

    try:
        for each in on_ranks(8, body):
            assert all(map(torch.equal, each, own.drawn[0]))
    finally:
        own.drawn[1][1][4] = old


@pytest.mark.parametrize("view", ["8", "gates of experts", "parts of queries", "rows of experts"])
@pytest.mark.parametrize(
    ("rule", "schedule"), [(shampoo, nd.Schedule(refresh=3)), (rows_of_momentum, None)]
)
def test_states_are_loaded_by_other_numbers_of_processes(rule, schedule, view):
    """8 → 3 → 1 → 4, also between two refreshes; what is saved are DTensors alone."""
    own = CASES[view]
    expected, _ = own.stepped(rule, torch.clone, range(1, 7), schedule=schedule)
    saved, weights, first = None, own.drawn[0], 1
    for count, steps in ((8, 2), (3, 1), (1, 1), (4, 2)):
        last = first + steps

        def body(_, count=count, steps=range(first, last), saved=saved, weights=weights):
            place = cut((count,), own.placements)
            params = [nn.Parameter(place(x)) for x in weights]
            opt = rule(params, schedule=schedule, view=own.view)
            if saved is not None:
                opt.load_state_dict(mapped(saved, lambda x: place(x) if x.ndim else x.clone()))
            own.advance(opt, params, place, steps)
            told = opt.state_dict()
            pairs = [pair for x in told["state"].values() for pair in x.items()]
            kinds = [key for key, x in pairs if not isinstance(x, DTensor) and x.ndim]
            own_L = sum(part(x).numel() for key, x in opt.state[params[0]].items() if key[0] == "L")
            return wholes(params), mapped(told, whole), kinds, own_L

        found = on_ranks(count, body)
        assert not any(kinds for _, _, kinds, _ in found)
        if rule is shampoo:  # each state is on one process
            all_of_it = found[0][1]["state"][0].items()
            total = sum(x.numel() for key, x in all_of_it if key[0] == "L")
            assert sum(own_L for *_, own_L in found) == total
        weights, saved, first = found[0][0], found[0][1], last
    same([weights], expected, 1e-10)


@pytest.mark.parametrize("case", ["8", "heads", "parts of queries"])
def test_a_plan_that_is_made_anew_finds_states_where_they_are(case):
    """As after a step in which a parameter had no gradient."""
    own = CASES[case]

    def run(place):
        params, opt = own.stepped(kl_shampoo, place, steps=(1,))
        for k in (2, 3):
            for j, (p, g) in enumerate(zip(params, own.drawn[k], strict=True)):
                p.grad = None if (j, k) == (1, 2) else place(g)
            opt.step()
        return params

    expected = run(torch.clone)
    found = on_ranks(math.prod(own.sizes), lambda _: wholes(run(own.place)))
    same(found, expected, 1e-10)


def test_states_that_are_made_before_a_step_are_those_of_a_step():
    own = CASES["8"]

    def body(_):
        params = [nn.Parameter(own.place(x)) for x in own.drawn[0]]
        opt = shampoo(params, view=own.view)
        opt.init_state()
        own.advance(opt, params, own.place, (1, 2, 3))
        return wholes(params)

    same(on_ranks(8, body), own.stepped(shampoo, torch.clone)[0], 1e-10)


def test_native_code_steps_experts_where_they_are(monkeypatch):
    """Staged kernels, with the numbers by which states are rounded by chance."""
    monkeypatch.setattr(executors, "MANY", 1)
    schedule = nd.Schedule(rounding="stochastic", state="bfloat16")
    own = CASES["3"]
    expected, opt = own.stepped(muon, torch.clone, schedule=schedule)
    assert "by two kernels" in str(opt.explain())
    found = own.on_ranks(muon, schedule=schedule)
    assert any("by two kernels" in told for _, told in found)
    same([x for x, _ in found], expected, 1e-12)


@pytest.mark.parametrize("dim", [0, 1])
def test_complex_parameters_are_divided_as_pairs_of_real_numbers(dim):
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(5, 4, dtype=torch.complex128, generator=generator) for _ in range(4)]

    def run(place):
        param = nn.Parameter(place(values[0]))
        opt = normalized([param])
        for g in values[1:]:
            param.grad = place(g)
            opt.step()
        return [param], str(opt.explain())

    def body(_):
        params, told = run(cut((3,), [Shard(dim)]))
        return wholes(params), told

    expected, _ = run(torch.clone)
    for found, told in on_ranks(3, body):
        same([found], expected)
        assert "what crosses" in told


CHANCE = nd.Schedule(state="bfloat16", rounding="stochastic")
COMPILED = nd.Schedule(compile=True)


def single(case):
    """The same with weights in which states are rounded: four bytes a number."""
    own = Case(case.shapes, case.view, case.sizes, case.placements)
    own.drawn = [[x.float() for x in each] for each in own.drawn]
    return own


@nd.optimizer
def with_moments_of_rows(lr=0.1):
    m, v = nd.ema(G, 0.9), nd.ema(nd.sum(G * G, over="cols"), 0.9)
    return W - lr * m / (1 + nd.sqrt(v))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "case", ["8", "gates of experts", "columns of experts", "parts of queries", "parts of heads"]
)
@pytest.mark.parametrize("rule", [adamw, with_moments_of_rows], ids=lambda r: r.name)
def test_states_are_rounded_by_chance_as_in_one_process(rule, case, native, monkeypatch):
    """To the bit: what is drawn for an entry depends on its number in the parameter alone."""
    monkeypatch.setattr(executors, "MANY", 1 if native else 10**9)
    own = single(CASES[case])
    params, opt = own.stepped(rule, torch.clone, schedule=CHANCE)
    _, other = own.stepped(rule, torch.clone, schedule=nd.Schedule(state="bfloat16"))
    expected = states(opt, params)
    assert not all(map(torch.equal, expected, states(other, other.param_groups[0]["params"])))

    def body(_):
        params, opt = own.stepped(rule, own.place, schedule=CHANCE)
        return wholes(params), states(opt, params)

    for weights, kept in on_ranks(math.prod(own.sizes), body):
        same([weights], params, 1e-6)
        assert all(map(torch.equal, kept, expected))


def states(opt, params):
    told = opt.state_dict()["state"]
    return [whole(x) for k in range(len(params)) for x in told[k].values() if x.ndim]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["8", "rows of experts"])
def test_steps_that_are_compiled_are_those_of_one_process(case):
    own = Case(EXPERTS[:1], stack, (2,), CASES[case].placements)
    expected, _ = own.stepped(rows_of_momentum, torch.clone)
    found = own.on_ranks(rows_of_momentum, schedule=COMPILED)
    same([x for x, _ in found], expected, 1e-10)
    assert all("compiled" in told and "gathered" not in told for _, told in found)
