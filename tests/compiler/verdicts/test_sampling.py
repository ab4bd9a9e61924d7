"""Sampling: rules with random draws, refuted by how their runs are distributed."""

import pytest
import torch
from norms_catalogue import brief

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.search import FEW, GLANCE
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import Experiment
from normdsl.compiler.verdicts.check import check
from normdsl.compiler.verdicts.sampling import differences


@nd.optimizer
def langevin(lr=0.1, heat=0.3):
    return W - lr * nd.polar(G) + heat * nd.normal_like(G)


@nd.optimizer
def coin_flips(lr=0.1):
    return W - lr * nd.polar(G) + lr * nd.signs_like(G)


@nd.optimizer
def by_the_sum(lr=0.1):
    """Its entries are distributed alike, one by one, with any signs; together they are not."""
    z = nd.normal_like(G)
    return W - lr * nd.sign(G) / nd.abs(nd.sum(z)) - lr * z


@nd.optimizer
def joined(lr=0.1):
    """What layers share is taken from the one layer a run has."""
    z = nd.normal_like(G)
    return W + lr * nd.over_layers(nd.frobenius, nd.lp(2)).lmo(G + z)


def apart(rule, group, seed=0, pairs=FEW):
    experiment = Experiment(rule, group, dict(rule.defaults), seed, pairs=pairs, steps=2)
    return max(differences(experiment), default=0.0) > 0


@pytest.mark.parametrize(
    ("rule", "group", "parts"),
    [
        (langevin, g.orthogonal, False),
        (langevin, g.transpose, False),
        (langevin, g.translation, False),
        (langevin, g.row_column_scale, True),
        (coin_flips, g.signed_permutations, False),
        (coin_flips, g.orthogonal, True),
        (by_the_sum, g.permutations, False),
        (by_the_sum, g.sign_flips, True),
        (joined, g.orthogonal, False),
        (joined, g.scale, True),
    ],
    ids=lambda x: getattr(x, "name", str(x)),
)
def test_distributions_part_where_the_rule_is_not_invariant_in_law(rule, group, parts):
    assert all(apart(rule, group, seed) is parts for seed in range(2))


def test_chance_is_not_taken_for_a_difference():
    assert not any(apart(langevin, g.orthogonal, seed, pairs=512) for seed in range(12))


def test_a_rule_with_draws_is_refuted_by_a_witness_that_replays():
    verdict = check(coin_flips, g.orthogonal)
    assert verdict.status is Status.REFUTED
    seen = verdict.witness
    assert seen.replay() == seen.replay()
    assert seen.replay()[-1] == seen.drift > 0
    assert f"of {GLANCE} runs of each kind, the distributions part at step 1" in str(seen)


def test_states_of_random_rules_start_as_is_assumed():
    @nd.optimizer
    def given(lr=0.1):
        P = nd.fix(lambda s: s, nd.eye_like(G @ G.T))
        return W - lr * P @ G + lr * nd.signs_like(G) * nd.frobenius.value(G)

    assert given.check(g.left_orthogonal, transported="P").status is Status.REFUTED


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    apart(langevin, g.orthogonal, pairs=64)
    langevin.check(g.transpose)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_distributions_of_a_rule_that_iterates_are_not_compared_and_it_says_so():
    @nd.optimizer
    def blended(lr=0.1):
        norm = brief(nd.max_of(nd.spectral, 2 * nd.max_entry))
        return W + lr * norm.lmo(G) * nd.exp(nd.normal_like(G))

    verdict = check(blended, g.orthogonal)
    assert verdict.status is Status.UNKNOWN
    assert "no run was looked for" in str(verdict)


@pytest.mark.parametrize("witnesses", [True, False])
def test_a_limit_near_which_no_run_was_looked_for_says_so(witnesses):
    @nd.optimizer
    def blended(lr=0.1, eps: nd.Positive = 1e-8):
        norm, size = brief(nd.max_of(nd.spectral, 2 * nd.max_entry)), nd.sqrt(nd.sum(G * G))
        return W + lr * size / (size + eps) * norm.lmo(G) * nd.exp(nd.normal_like(G))

    verdict = blended.check(g.loss_scale, witnesses=witnesses)
    assert verdict.answer == "invariant in the limit eps → 0, where continuous"
    assert "no run was looked for in which the step jumps" in str(verdict)


def test_a_state_that_becomes_a_number_goes_on_as_one_for_each_run():
    @nd.optimizer
    def held(lr=0.1, eps=0.5):
        s = nd.prev(nd.fix(lambda s: eps + 0 * s, 1))
        return W - lr * nd.reciprocal(nd.abs(s)) * (nd.sign(G) + nd.normal_like(G))

    assert apart(held, g.orthogonal)


def test_runs_that_a_factorisation_fails_in_say_nothing(monkeypatch):
    def failing(*args, **kwargs):
        raise torch.linalg.LinAlgError("it does not converge")

    monkeypatch.setattr(torch.linalg, "svd", failing)
    assert not apart(coin_flips, g.scale)
