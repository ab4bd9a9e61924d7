"""Drift: a pair of runs honours every assumption it was given, or says nothing."""

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import Assumption, Kind
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import PARTED, Experiment
from normdsl.compiler.verdicts import drift
from normdsl.compiler.verdicts.drift import distinct, full_rank

GRAM = G @ G.T


def given(factor):
    """Return a rule that is preconditioned by a metric P, which is given and stays."""

    def rule(lr=0.1):
        P = nd.fix(lambda s: s, nd.eye_like(GRAM))
        return W - lr * factor(P) @ G

    return nd.optimizer(rule)


whitened, doubled = given(nd.inverse), given(lambda P: P @ P)


@nd.optimizer
def projected(lr=0.1):
    L = nd.accumulate(GRAM)
    return W - lr * (L @ nd.inverse(L)) @ W @ G.T @ W


@nd.optimizer
def in_a_basis(lr=0.1):
    L = nd.accumulate(GRAM)
    Q = nd.eigenbasis(L)
    return W - lr * Q @ nd.sign(Q.T @ G)


@nd.optimizer
def above_a_floor(lr=0.1, floor: nd.LossValue = 0.5):
    return W - lr * (nd.loss - floor) * nd.sign(G)


def apart(rule, group, *assumed, shape=(3, 4)):
    told = frozenset(assumed)
    found = drift.drifts(Experiment(rule, group, dict(rule.defaults), 0, shape, given=told))
    return max(found, default=0.0) > PARTED


def state(rule):
    return next(x for x in rule.labels if isinstance(x, nd.expressions.recursion.After))


def test_a_state_starts_by_every_law_that_it_may_be_meant_to():
    moved = Assumption(Kind.TRANSPORTED, state(whitened))
    assert apart(whitened, g.left_affine)
    assert not apart(whitened, g.left_affine, moved)
    moved = Assumption(Kind.TRANSPORTED, state(doubled))
    assert apart(doubled, g.left_affine, moved)


def test_weights_decide_how_a_state_starts_that_is_made_of_them():
    @nd.optimizer
    def from_the_size(lr=0.1):
        s = nd.fix(lambda s: s, nd.frobenius.value(W))
        return W - lr * s * nd.sign(G)

    same = Assumption(Kind.UNMOVED, state(from_the_size))
    moved = Assumption(Kind.TRANSPORTED, state(from_the_size))
    assert not any(apart(from_the_size, g.uniform_scale, *told) for told in ([], [same], [moved]))


@pytest.mark.parametrize(("shape", "counts"), [((3, 4), False), ((4, 3), False)])
def test_ranks_that_are_assumed_are_there(shape, counts):
    L = state(projected)
    assert apart(projected, g.left_affine, Assumption(Kind.FULL_RANK, L), shape=shape) is counts
    assert apart(projected, g.left_affine, shape=(4, 3))
    assert not apart(projected, g.left_affine, shape=(3, 4))


def test_eigenvalues_that_are_assumed_to_be_distinct_are():
    own = Assumption(Kind.DISTINCT, state(in_a_basis))
    assert apart(in_a_basis, g.scale, own, shape=(3, 4))
    assert not apart(in_a_basis, g.scale, own, shape=(4, 2))  # zero twice
    assert full_rank(torch.eye(3).double())
    assert not full_rank(torch.ones(3, 3).double())
    assert distinct(torch.arange(3.0).diag())
    assert not distinct(torch.eye(3))


def test_a_value_of_the_loss_is_scaled_with_it():
    parts = nd.expressions.traversal.walk(above_a_floor.update)
    floor = next(x for x in parts if isinstance(x, nd.expressions.nodes.Param)
                 and x.name == "floor")  # fmt: skip

    @nd.optimizer
    def by_the_share(lr=0.1, floor: nd.LossValue = 0.5):
        return W - lr * floor / nd.loss * nd.sign(G)

    scaled = Assumption(Kind.FLOOR, floor)
    assert apart(above_a_floor, g.loss_scale, scaled)
    assert apart(by_the_share, g.loss_scale)
    assert not apart(by_the_share, g.loss_scale, scaled)


def test_a_metric_that_is_given_is_transported_by_the_law_its_reader_needs():
    asked = whitened.check(g.left_affine)
    assert asked.answer == (
        "invariant if P starts transformed along with the weights and P has full rank"
    )
    told = whitened.check(g.left_affine, transported="P", full_rank="P")
    assert told.status is Status.INVARIANT
    assert "P starts transformed" in str(told)
    assert given(lambda P: P).check(g.left_affine, transported="P").answer == "invariant"
    assert doubled.check(g.left_affine, transported="P").status is Status.REFUTED


def test_weights_that_are_given_are_transported_too():
    @nd.optimizer
    def weighted(lr=0.1):
        D = nd.fix(lambda s: s, nd.zeros_like(G) + 1)
        return W - lr * D * D * G

    assert weighted.check(g.scale, transported="D").answer == "invariant"


def test_no_witness_violates_what_it_was_told():
    verdict = projected.check(g.left_affine, full_rank="L")
    assert verdict.status is Status.UNKNOWN
    assert projected.check(g.left_affine).status is Status.REFUTED


def test_runs_near_a_cut_say_nothing():
    x = torch.diag(torch.tensor([1.0, 1e-13], dtype=torch.float64))
    assert not drift._clear(x)
    assert drift._clear(torch.eye(2).double())
    assert drift._clear(torch.diag(torch.tensor([1.0, 0.0]).double()))
