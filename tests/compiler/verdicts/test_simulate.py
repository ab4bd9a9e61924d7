"""Twins: invariant rules stay together, others part, diverging runs are cut."""

import attrs
import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import momo_adam, muon, sgd
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import search
from normdsl.compiler.invariance.witness import Experiment, Size
from normdsl.compiler.verdicts import drift, simulate
from normdsl.compiler.verdicts.simulate import twins
from normdsl.compiler.verdicts.tasks import problem


@pytest.mark.parametrize("rule", [muon, sgd], ids=lambda r: r.name)
def test_rotations_are_followed_to_rounding(rule):
    hyper = {**rule.defaults, "lr": 0.01}
    for seed in range(3):
        drift = twins(Experiment(rule, g.orthogonal, hyper, seed)).drift
        assert len(drift) == 6
        assert max(drift) < 1e-10


def test_a_change_of_scale_is_not():
    assert twins(Experiment(sgd, g.scale, {**sgd.defaults, "lr": 0.01})).drift[0] > 1e-3


def test_the_problem_has_no_symmetry_a_rule_could_hide_behind():
    start, loss = problem((3, 4), 0)
    moves = (-start, start.flip(0), start.flip(1), 2 * start, start + 1)
    assert all((loss(start) - loss(w)).abs() > 1e-3 for w in moves)
    again, same = problem((3, 4), 0)
    assert torch.equal(start, again)
    assert torch.equal(loss(start), same(start))


def test_steps_that_are_lost_in_shifted_weights_are_no_drift():
    """Weights of 1e-8 that were shifted by 1 cannot move by 1e-17, and no jitter shows it."""
    short = Experiment(momo_adam, g.translation, {**momo_adam.defaults, "lr": 1e-17}, 31, (4, 3), 3)
    pair = twins(attrs.evolve(short, size=Size(1e-8, 1e7)))
    assert max(pair.drift) > 1
    assert max(pair.significant_drift) == 0


def test_a_run_that_overflows_is_cut_not_raised():
    @nd.optimizer
    def explosive(lr=1.0):
        return W + lr * nd.exp(nd.abs(G)) * G

    run = twins(Experiment(explosive, g.orthogonal, {"lr": 1.0}, steps=8))
    assert len(run.drift) < 8


def test_original_runs_are_made_once_for_all_groups():
    """A number far from one adds experiments: more than a few dozen for one group."""

    @nd.optimizer
    def small(lr=0.1, eps=1e-8):
        return W - lr * G / (nd.sqrt(nd.ema(G * G, 0.999)) + eps) - lr * 1e-9 * G

    simulate._original.cache_clear()
    searched = []
    for group in (g.sign_flips, g.permutations):
        assert search.search(small, group, drift.drifts) is None
        searched.append(simulate._original.cache_info().misses)
    assert searched[0] > 50
    assert searched[1] == searched[0]


def test_rules_that_read_one_side_of_the_layer():
    """Input whitening follows W = W̃ B and parts from its transpose, which reads the other side."""

    @nd.optimizer
    def whitened(lr=0.1):
        return W - lr * G @ nd.inverse(nd.input_moment)

    for group in (g.right_affine, g.left_orthogonal, g.row_column_scale):
        run = twins(Experiment(whitened, group, {"lr": 0.01}))
        assert len(run.drift) == 6
        assert (max(run.drift) < 1e-10) is (group is not g.row_column_scale)
    assert max(twins(Experiment(whitened, g.transpose, {"lr": 0.01})).drift) > 1e-3
    assert whitened.check(g.right_affine).answer == "invariant if C_x has full rank"
