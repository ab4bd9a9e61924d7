"""When a step needs a mean over workers, and what it is told of it."""

import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.plan import planned
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.workers import ALWAYS

A, B = nd.mean(G, over="workers"), nd.mean(2 * G, over="workers")


def program(update):
    return lower(nd.Declaration("probe", (), update), nd.Schedule(), workers=True)


def met(update, steps=6):
    """The steps at which each mean is needed, in the order of means."""
    found, like = program(update), torch.zeros(1, 2, 2, dtype=torch.float64)
    each = [found.meets(like, t=torch.tensor(float(t))) for t in range(1, steps + 1)]
    return [[t for t, told in enumerate(each, 1) if told[k]] for k in range(len(found.workers))]


def test_a_mean_is_needed_where_a_choice_by_the_step_takes_it():
    assert met(W - A) == [[1, 2, 3, 4, 5, 6]]
    assert met(W - nd.every(3, A, G)) == [[3, 6]]
    assert met(W - nd.every(3, G, A)) == [[1, 2, 4, 5]]
    assert met(W - nd.every(3, A, nd.every(2, B, G))) == [[3, 6], [2, 4]]
    assert met(W - nd.every(3, A, nd.every(2, A, G))) == [[2, 3, 4, 6]]
    assert met(W - nd.every(2, nd.every(3, A, G), G)) == [[6]]


def test_a_mean_that_is_read_anywhere_else_is_needed_there():
    assert met(W - nd.every(3, A, G) - A) == [[1, 2, 3, 4, 5, 6]]
    assert met(W - nd.where(nd.sum(G) > 0, A, G)) == [[1, 2, 3, 4, 5, 6]]
    slow = nd.fix(lambda s: nd.every(2, nd.mean(s, over="workers") + G, s), nd.zeros_like(G))
    assert met(W - slow) == [[2, 4, 6]]


def test_a_mean_of_means_is_found_in_order():
    outer = nd.mean(nd.sign(A), over="workers")
    found = program(W - nd.every(2, outer, G))
    assert [x.arg for x in found.workers] == [G, nd.sign(A)]
    assert [found.depends[x] for x in found.workers] == [(), (A,)]
    assert met(W - nd.every(2, outer, G)) == [[2, 4, 6], [2, 4, 6]]


def test_what_is_always_averaged_is_computed_once():
    code = program(W - nd.mean(nd.sign(G), over="workers") - nd.sign(G)).code
    assert code.count("torch.sign(G)") == 1
    periodic = program(W - nd.every(2, nd.mean(nd.sign(G), over="workers"), nd.sign(G)))
    assert periodic.code.count("torch.sign(G)") == 2
    assert periodic.always == frozenset()


def test_one_worker_needs_no_mean():
    alone = planned(nd.Declaration("probe", (), W - nd.every(2, A, G)), nd.Schedule())
    assert (alone.workers, alone.needed) == ((), {})
    assert lower(nd.Declaration("probe", (), W - A), nd.Schedule()).meets is None
    assert program(W - A).needed == {A: ALWAYS}
