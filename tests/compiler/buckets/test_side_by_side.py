"""Batches of matrices step at the same time, with the results of one after the other."""

import os
import threading
import time

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl.compiler.buckets import side_by_side
from normdsl.compiler.native import polar
from normdsl.compiler.sharding.owners import work
from normdsl.errors import FactorisationError

SHAPES = [(300, 400), (400, 300), (256, 600), (300, 400), (256, 256)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def weights(shapes=SHAPES):
    draw = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(0.1 * torch.randn(s, generator=draw)) for s in shapes]


def trained(rule, threads, steps=3, **options):
    """Return the weights after some steps, and the optimizer."""
    torch.set_num_threads(threads)
    params, draw = weights(), torch.Generator().manual_seed(1)
    opt = rule(params, **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=draw)
        opt.step()
    return params, opt


def places(opt, params):
    """Return the numbers of the parameters that have states, in order."""
    numbers = {id(p): k for k, p in enumerate(params)}
    return [numbers[id(p)] for p in opt.state]


def same(bucket, good):
    return good


def buckets(shapes=SHAPES, **options):
    params = weights(shapes)
    opt = nd.algorithms.muon(params, **options)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    return opt._plan.buckets


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("name", ["muon", "soap", "shampoo"])
def test_the_result_is_that_of_one_after_the_other(two_threads, name, nonfinite):
    rule = getattr(nd.algorithms, name)
    together, opt = trained(rule, 2, nonfinite=nonfinite)
    alone, other = trained(rule, 1, nonfinite=nonfinite)
    assert all(map(torch.equal, together, alone))
    assert places(opt, together) == places(other, alone)
    states = zip(opt.state.values(), other.state.values(), strict=True)
    assert all(torch.equal(own[k], x) for own, theirs in states for k, x in theirs.items())
    torch.set_num_threads(2)
    assert "2 at a time, each on one thread" in str(opt.explain())
    torch.set_num_threads(1)
    assert "at a time" not in str(opt.explain())


def test_most_work_comes_first_and_what_would_keep_the_others_waiting_steps_alone(two_threads):
    found = buckets()
    order = side_by_side.chosen(found)
    assert sorted(order) == list(range(len(found)))
    costs = [found[k].total * work(found[k].size) for k in order]
    assert costs == sorted(costs, reverse=True)
    found = buckets([(800, 900), *SHAPES])
    (large,) = [k for k, x in enumerate(found) if x.size == (800, 900)]
    assert large not in side_by_side.chosen(found)
    assert len(side_by_side.chosen(found)) == len(found) - 1


def test_kept_values_that_are_due_are_work_too(two_threads):
    schedule = nd.Schedule(eigenbasis=nd.QRPower(), refresh=5)
    params = weights([(300, 400), (400, 300), (256, 600), (280, 280), (256, 256)])
    opt, firsts = nd.algorithms.soap(params, schedule=schedule), []
    for step in range(6):
        for p in params:
            p.grad = torch.ones_like(p)
        if step:
            found = opt._plan.buckets
            order = side_by_side.chosen(found)
            assert sorted(order) == list(range(5))
            due = [k for k, x in enumerate(found) if x.turn[0]]
            assert due == order[:1]  # each at a step of its own, and also if it is a small one
            firsts.append(order[0])
        opt.step()
    assert sorted(firsts) == list(range(5))


def test_not_where_it_does_not_pay_or_cannot_be(two_threads):
    assert not side_by_side.chosen(buckets([(20, 30)] * 5))
    assert not side_by_side.chosen(buckets([(600, 600)]))
    found = buckets()
    assert side_by_side.chosen(found)
    with TorchDispatchMode():
        assert not side_by_side.chosen(found)
    with torch.profiler.profile():
        assert not side_by_side.chosen(found)
    torch.set_num_threads(1)
    assert not side_by_side.chosen(found)


@pytest.mark.skipif(polar.refusal() is not None, reason=polar.refusal() or "")
def test_many_small_matrices_share_threads_within_a_kernel(two_threads):
    found = buckets([(64, 64)] * 140)
    assert len(found) > 1
    assert all(x.shares for x in found)
    assert not side_by_side.chosen(found)
    others = buckets([(64, 64)] * 140, schedule=nd.Schedule(polar=nd.jordan()))
    assert len(side_by_side.chosen(others)) == len(others)
    torch.set_num_threads(32)
    assert not any(x.shares for x in found)  # as some threads would have twice as many


def test_jobs_run_on_threads_of_their_own_without_gradients(two_threads):
    found = buckets()
    ready = threading.Barrier(2, timeout=20)

    def job():
        if threading.current_thread().name.startswith("normdsl"):
            ready.wait()  # passes only if two run at a time
        told = threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()
        return torch.tensor(told)

    even = found[: len(found) // 2 * 2]
    told = [x.tolist() for x in side_by_side.run(even, [job] * len(even), same)]
    assert len({x[0] for x in told}) == 2
    assert threading.get_ident() not in {x[0] for x in told}
    assert all(x[1:] == [1, 0] for x in told)
    assert torch.get_num_threads() == 2


def test_an_error_is_raised_once_the_others_have_ended(two_threads):
    found, ended, seen = buckets(), [], []

    def job(k):
        if k == 0:
            raise FactorisationError("take a step", why="of a test", hint="none")
        ended.append(k)
        return torch.ones(())

    def counted(bucket, good):
        seen.append(bucket)
        return good

    with pytest.raises(FactorisationError, match="of a test"):
        side_by_side.run(found, [lambda k=k: job(k) for k in range(len(found))], counted)
    assert sorted(ended) == list(range(1, len(found)))
    assert seen == list(found[1:])  # what has stepped is counted


def test_who_interrupts_waits_for_what_has_begun(two_threads, monkeypatch):
    found, ended, waited = buckets(), [], []
    usual = side_by_side.wait

    def job():
        time.sleep(0.1)
        ended.append(1)
        return torch.ones(())

    def interrupted(futures):
        waited.append(1)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return usual(futures)

    monkeypatch.setattr(side_by_side, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        side_by_side.run(found, [job] * len(found), same)
    assert len(ended) == len(side_by_side.chosen(found)) > 1


def test_a_child_process_waits_for_no_thread_of_its_parent(two_threads):
    found = buckets()
    side_by_side.run(found, [lambda: torch.ones(())] * len(found), same)
    assert side_by_side._pool.cache_info().currsize == 1
    child = os.fork()
    if not child:
        os._exit(side_by_side._pool.cache_info().currsize)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
