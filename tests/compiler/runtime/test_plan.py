"""Plans: which parameters step together, and what a step costs in calls and dispatches."""

import gc
import sys
import weakref
from collections import Counter

import pytest
import torch
from fake_ranks import fake_mesh
from processor import assert_same
from stepping import parameter, train
from torch import nn
from torch.distributed.tensor import Shard, distribute_tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, lion, muon, soap
from normdsl.compiler.buckets.chunks import CHUNK, Chunks
from normdsl.compiler.buckets.fused import Fused
from normdsl.compiler.buckets.loose import Loose
from normdsl.compiler.buckets.matrices import Matrices
from normdsl.compiler.buckets.staged import Staged


def parameters(*shapes, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=g).to(dtype)) for s in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=g).to(dtype)
    return params


def stepped(rule, *shapes, **options):
    """Return an optimizer after two steps, so that the third one goes by a plan."""
    opt = rule(parameters(*shapes, dtype=torch.float32), **options)
    opt.step()
    opt.step()
    return opt


def calls(opt):
    """Count the functions that a step calls, those of Python and those of C."""
    found = Counter()

    def seen(frame, event, arg):
        found[event] += event in ("call", "c_call")

    gc.disable()  # what it finalises is counted as well
    sys.setprofile(seen)
    try:
        opt.step()
    finally:
        sys.setprofile(None)
        gc.enable()
    return sum(found.values())


@pytest.mark.parametrize("rule", [adamw, lion, muon], ids=lambda r: r.name)
def test_calls_do_not_grow_with_the_number_of_parameters(rule):
    # One schedule, so that looking it up compares no fields; and a first time that loads things.
    options = {"schedule": nd.Schedule(dtype="float32")}
    _, few, many = (calls(stepped(rule, *[(4, 4)] * count, **options)) for count in (10, 100, 1000))
    assert few == many < 1000


SINGLE = nd.Schedule(dtype="float32")
TURNS = nd.Schedule(dtype="float32", refresh=4)
CHANCE = nd.Schedule(dtype="float32", state="bfloat16", rounding="stochastic")
#: Rules of entries, of matrices and of scalars; kinds of steps, views and placements.
SHARDED = {
    "adamw": (adamw, (8, 4), {"schedule": SINGLE}),
    "muon": (muon, (8, 4), {"schedule": SINGLE}),
    "soap, between refreshes": (soap, (8, 4), {"schedule": TURNS}),
    "adafactor": (nd.algorithms.adafactor, (8, 4), {"schedule": SINGLE}),
    "a norm over layers": (nd.algorithms.clipped_sgd, (8, 4), {"schedule": SINGLE}),
    "skipped steps": (muon, (8, 4), {"schedule": SINGLE, "nonfinite": "skip"}),
    "judged steps": (muon, (8, 4), {"schedule": SINGLE, "judged": True}),
    "rounded states": (muon, (8, 4), {"schedule": CHANCE}),
    "convolutions": (muon, (8, 4, 3, 3), {"schedule": SINGLE, "view": nd.views.flat}),
    "parts of heads": (muon, (24, 4), {"schedule": SINGLE, "view": nd.views.heads(3)}),
    "whole experts": (muon, (8, 4, 4), {"schedule": SINGLE, "view": nd.views.stack}),
}


def calls_of_a_shard(rule, shape, options, count, ranks=8):
    """Count the functions that one of several ranks, with rows cut, calls in a step."""
    with fake_mesh(ranks) as mesh:
        params = parameters(*[shape] * count, dtype=torch.float32)
        places = [distribute_tensor(p.detach(), mesh, [Shard(0)]) for p in params]
        shards = [nn.Parameter(x) for x in places]
        for p, shard in zip(params, shards, strict=True):
            shard.grad = distribute_tensor(p.grad, mesh, [Shard(0)])
        opt = rule(shards, **options)
        for _ in range(3):
            opt.step()
        return calls(opt)


@pytest.mark.parametrize("case", SHARDED)
def test_calls_of_a_sharded_step_do_not_grow_with_the_number_of_parameters(case):
    few, many = (calls_of_a_shard(*SHARDED[case], count) for count in (48, 480))
    assert few == many < 3000


@pytest.mark.parametrize("rule", [adamw, muon, soap], ids=lambda r: r.name)
def test_calls_of_a_sharded_step_do_not_grow_with_the_number_of_ranks(rule):
    few, many = (
        calls_of_a_shard(rule, (64, 4), {"schedule": SINGLE}, 64, ranks) for ranks in (8, 64)
    )
    assert few == many


class Dispatches(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("rule", "polar", "most"),
    [(adamw, nd.SVD(), 100), (muon, nd.SVD(), 100), (muon, nd.Automatic(), 250)],
    ids=["adamw", "muon", "muon, by polynomials"],
)
def test_dispatches_do_not_grow_with_the_number_of_parameters(rule, polar, most):
    found, schedule = [], nd.Schedule(polar=polar)
    for count in (10, 100):
        opt = stepped(rule, *[(8, 8)] * count, schedule=schedule)
        with Dispatches() as seen:
            opt.step()
        found.append(seen.count)
    assert found[0] == found[1] <= most


def test_large_matrices_step_alone_and_in_place_on_cpus():
    steps = {size: stepped(muon, *[size] * 3)._plan.buckets for size in ((64, 64), (512, 768))}
    assert [len(b.params) for b in steps[64, 64]] == [3]
    assert [(len(b.params), b.alone) for b in steps[512, 768]] == [(1, True)] * 3


def test_batches_that_step_side_by_side_are_equally_large_and_compiled_for_all_of_them():
    """As many as caches hold are 64; of 64, 64, 64 and 8 two threads would take 128."""
    buckets = stepped(muon, *[(64, 64)] * 200)._plan.buckets
    assert [(type(b), len(b.params)) for b in buckets] == [(Staged, 50)] * 4
    few = stepped(muon, *[(64, 64)] * 60)._plan.buckets
    assert [(type(b), len(b.params)) for b in few] == [(Matrices, 60)]


def test_a_step_of_native_code_is_a_few_dispatches():
    opt = stepped(adamw, *[(64, 64)] * 100)
    with Dispatches() as seen:
        opt.step()
    assert seen.count <= 60


class Alive(TorchDispatchMode):
    """The most bytes, at a time, of memory that was not there before."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id_of(x) for x in tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for x in tensors(out):
            if id_of(x) not in given | self.seen:
                storage = x.untyped_storage()
                self.seen.add(id_of(x))
                self.now += storage.nbytes()
                weakref.finalize(storage, self.gone, id_of(x), storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def gone(self, key, size):
        self.seen.discard(key)
        self.now -= size


def tensors(values):
    return [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]


def id_of(x):
    return x.untyped_storage()._cdata


@pytest.mark.parametrize("options", [{}, {"nonfinite": "skip"}, {"judged": True}], ids=str)
def test_memory_of_an_entrywise_step_is_that_of_a_chunk(options):
    for compiled, bound in ((False, 15 * 4 * CHUNK), (True, 2**12)):
        most = []
        for count in (4, 16):
            quick = nd.Schedule(compile=compiled)
            opt = stepped(adamw, *[(512, 256)] * count, schedule=quick, **options)
            with Alive() as memory:
                opt.step()
            most.append(memory.most)
        assert most[1] < max(2**12, 1.01 * most[0])
        assert most[0] < bound


def kinds(opt):
    return [type(bucket) for bucket in opt._plan.buckets]


def test_parameters_fall_into_buckets():
    assert kinds(stepped(adamw, (2, 3), (4,), (2, 2, 2))) == [Chunks]
    assert kinds(stepped(muon, (2, 3), (2, 3), (3, 2))) == [Matrices]  # as it may transpose
    assert kinds(stepped(soap, (2, 3), (2, 3), (3, 2))) == [Matrices, Matrices]
    halves = nd.views.split(1, 1)
    assert kinds(stepped(muon, (2, 3), view=nd.views.split(1, 2, axis=1))) == [Loose]
    assert kinds(stepped(muon, (2, 3), view=halves)) == [Loose]
    assert kinds(stepped(soap, (4, 3), view=nd.views.heads(2))) == [Matrices]


@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
def test_states_are_held_once(rule):
    """What they were copied from, as a first step makes or a checkpoint has, is let go."""
    (bucket,) = stepped(rule, (6, 6), (6, 6))._plan.buckets
    assert all(member.state == {} for member in bucket.members)
    kept = {id_of(x) for views in bucket.views for name, x in views.items() if name != "step"}
    assert len(kept) == len(bucket.stepper.program.fields)


def test_groups_with_equal_hyper_parameters_are_one_bucket_until_they_differ():
    first, second = parameters((2, 3), (2, 3))
    opt = muon([{"params": [first]}, {"params": [second]}], schedule=nd.exact)
    opt.step()
    assert len(opt._plan.buckets) == 1
    opt.param_groups[1]["lr"] /= 2
    opt.step()
    assert len(opt._plan.buckets) == 2
    assert {int(opt.state[p]["step"]) for p in (first, second)} == {2}


def test_states_are_views_of_one_tensor_for_each():
    opt = stepped(adamw, (2, 3), (4,))
    a, b = (opt.state[p]["m_buffer"] for p in opt.param_groups[0]["params"])
    assert a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
    assert (a.shape, b.shape) == ((2, 3), (4,))


@pytest.mark.parametrize("rule", [adamw, muon, soap], ids=lambda r: r.name)
def test_what_others_change_between_steps_counts(rule):
    """States, counts, parameters and the set of gradients: each makes a new plan, or none."""

    def run(change):
        opt = rule(parameters((3, 3), (3, 3)), schedule=nd.exact)
        params = opt.param_groups[0]["params"]
        for k in range(4):
            train(opt, 1, seed=k)
            if k == 1:
                change(opt, params)
        return [p.detach().clone() for p in params], opt

    plain, _ = run(lambda opt, params: None)

    def reload(opt, params):
        opt.load_state_dict(opt.state_dict())

    def own_memory(opt, params):
        for p in params:
            opt.state[p] = {k: x.clone() for k, x in opt.state[p].items()}

    def moved(opt, params):
        params[0].data = params[0].data.clone()

    for change in (reload, own_memory, moved):
        for x, y in zip(run(change)[0], plain, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)

    def forgotten(opt, params):
        del opt.state[params[0]]

    changed, opt = run(forgotten)
    assert not torch.equal(changed[0], plain[0])
    torch.testing.assert_close(changed[1], plain[1], rtol=1e-12, atol=1e-12)
    assert sorted(int(opt.state[p]["step"]) for p in opt.param_groups[0]["params"]) == [2, 4]


def test_a_state_is_written_by_hand_and_read():
    @nd.optimizer
    def averaged(lr=0.1, beta=0.5):
        return W - lr * nd.ema(G, beta)

    p = parameter(2, 2)
    opt = train(averaged([p]), 1)
    (name,) = (k for k in opt.state[p] if k != "step")
    opt.state[p][name].zero_()
    before, p.grad = p.detach().clone(), torch.ones_like(p)
    opt.step()
    torch.testing.assert_close(p.detach(), before - 0.05)


def test_a_parameter_that_begins_later_counts_for_itself():
    params = parameters((3, 3), (3, 3))
    opt = adamw(params, lr=0.1, weight_decay=0.0)
    params[1].grad = None
    opt.step()
    twin = parameters((3, 3), (3, 3))
    params[1].grad = twin[1].grad.clone()
    opt.step()
    alone = adamw([twin[1]], lr=0.1, weight_decay=0.0)
    alone.step()
    torch.testing.assert_close(params[1], twin[1])
    assert [int(opt.state[p]["step"]) for p in params] == [2, 1]


@nd.optimizer
def cubes(lr=1.0):
    return W - lr * G**3


def test_what_overflows_is_reported_after_it_was_written_or_before():
    for judged in (False, True):
        (p,) = parameters((2, 2), dtype=torch.float32)
        p.grad.fill_(1e13)
        before = p.detach().clone()
        opt = cubes([p], judged=judged)
        with pytest.raises(nd.GradientError) as error:
            opt.step()
        assert ("nothing was changed" in str(error.value)) == judged
        assert ("the step was taken" in str(error.value)) != judged
        assert torch.equal(p, before) == judged
        assert bool(opt.state) != judged


def test_a_very_large_gradient_is_judged_before_anything_is_written():
    first, second = parameters((2, 2), (3, 2), dtype=torch.float32)
    second.grad.fill_(1e20)
    opt, before = cubes([first, second]), [p.detach().clone() for p in (first, second)]
    with pytest.raises(nd.GradientError, match="nothing was changed"):
        opt.step()
    assert all(torch.equal(p, b) for p, b in zip((first, second), before, strict=True))
    assert not opt.state


def test_a_large_finite_gradient_of_which_the_square_overflows_is_one():
    (p,) = parameters((2, 2), dtype=torch.float32)
    p.grad.fill_(1e30)
    before = p.detach().clone()
    lion([p], lr=0.5, weight_decay=0.0).step()
    torch.testing.assert_close(p.detach(), before - 0.5)


@pytest.mark.parametrize("options", [{}, {"nonfinite": "skip"}], ids=["raise", "skip"])
def test_chunks_are_the_whole(options, monkeypatch):
    """Parts of large parameters, several small ones together, and one that is not contiguous."""
    shapes = [(40, 5), (3,), (7, 2), (50, 4), ()]
    whole = train(adamw(parameters(*shapes), **options), 3)
    monkeypatch.setattr("normdsl.compiler.buckets.chunks.CHUNK", 64)
    params = parameters(*shapes)
    params[3] = nn.Parameter(params[3].detach().T.contiguous().T)
    assert not params[3].is_contiguous()
    parts = train(adamw(params, **options), 3)
    (bucket,) = parts._plan.buckets
    assert len(bucket.chunks) > 5
    for p, q in zip(params, whole.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@nd.optimizer
def remembers(lr=0.1, beta: nd.Fraction = 0.5):
    return W + beta * (W - nd.prev(W, init=W)) - lr * nd.prev(G) - lr * G


@pytest.mark.parametrize("rule", [adamw, remembers], ids=lambda r: r.name)
@pytest.mark.parametrize("options", [{}, {"nonfinite": "skip"}, {"maximize": True}], ids=str)
def test_native_code_steps_as_chunks_do(rule, options):
    """Bit for bit, gradients laid out in another way and steps that are left out included."""
    torch.manual_seed(0)
    shapes = [(8, 5), (3,), (2, 2, 2), ()]
    chunks, native = parameters(*shapes), parameters(*shapes)
    opts = [
        rule(params, schedule=nd.Schedule(compile=quick), **options)
        for params, quick in ((chunks, False), (native, True))
    ]
    for k in range(4):
        for p, q in zip(chunks, native, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.T.clone().T if q.ndim == 2 else p.grad.clone()
        if k == 2 and "nonfinite" in options:
            chunks[1].grad[0] = native[1].grad[0] = torch.nan
        for opt in opts:
            opt.step()
    assert [kinds(opt) for opt in opts] == [[Chunks], [Fused]]
    for p, q in zip(chunks, native, strict=True):
        assert torch.equal(p, q)
        for key, x in opts[0].state[p].items():
            assert torch.equal(x, opts[1].state[q][key])


def test_native_code_reads_complex_numbers_as_pairs():
    chunks, native = (parameters((3, 2), (5,), dtype=torch.complex64) for _ in range(2))
    for params, quick in ((chunks, False), (native, True)):
        params[0].grad = params[0].grad.conj()
        train(adamw(params, schedule=nd.Schedule(compile=quick)), 2)
    assert_same(chunks, native)


def test_many_entries_step_by_native_code_unless_told_otherwise():
    shapes = [(512, 256)] * 3
    assert kinds(stepped(adamw, *shapes)) == [Fused]
    assert kinds(stepped(adamw, *shapes, schedule=nd.Schedule(compile=False))) == [Chunks]


def test_native_code_that_cannot_be_is_refused(monkeypatch):
    monkeypatch.setattr("normdsl.compiler.native.build.compiler", lambda: None)
    with pytest.raises(nd.HyperparameterError, match=r"C\+\+ compiler"):
        stepped(adamw, (2, 2), schedule=nd.Schedule(compile=True))
    assert kinds(stepped(adamw, *[(512, 256)] * 3)) == [Chunks]


def test_a_compiler_that_fails_is_told_and_not_needed(monkeypatch, tmp_path):
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho no such header >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("normdsl.compiler.native.build.compiler", lambda: str(broken))
    opt = stepped(sgd_like, *[(512, 256)] * 3)
    assert kinds(opt) == [Chunks]
    assert "no such header" in str(opt.explain())


@nd.optimizer
def sgd_like(lr=0.123):
    return W - lr * (G + G * G)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_let_go_with_the_step(compiled):
    opt = stepped(adamw, (4, 3), schedule=nd.Schedule(compile=compiled))
    (p,) = opt.param_groups[0]["params"]
    grad = weakref.ref(p.grad)
    p.grad = None
    assert grad() is None


@pytest.fixture
def ahead(monkeypatch):
    """Let buckets of native code on CPUs decide as those of other devices do."""
    monkeypatch.setattr(Fused, "decides", True)


def test_a_device_that_decides_leaves_everything_for_a_gradient_that_is_not_finite(ahead):
    params = parameters((4, 3), (5,), dtype=torch.float32)
    twins = parameters((4, 3), (5,), dtype=torch.float32)
    opt, twin = (adamw(ps, schedule=nd.Schedule(compile=True)) for ps in (params, twins))
    params[1].grad[2] = torch.nan
    for _ in range(2):
        before = [p.detach().clone() for p in params]
        with pytest.raises(nd.GradientError, match="nothing was changed"):
            opt.step()
        assert all(map(torch.equal, params, before))
    params[1].grad[2] = twins[1].grad[2]
    train(opt, 3)
    train(twin, 3)
    assert all(map(torch.equal, params, twins))
    assert int(opt.state[params[0]]["step"]) == 3


def test_a_device_that_decides_judges_a_very_large_gradient_first(ahead):
    (p,) = parameters((2, 2), dtype=torch.float32)
    opt = cubes([p], schedule=nd.Schedule(compile=True))
    opt.step()
    p.grad.fill_(1e20)
    before = p.detach().clone()
    with pytest.raises(nd.GradientError, match="nothing was changed"):
        opt.step()
    assert torch.equal(p, before)
