"""The judge of random programs: it sees false claims, and takes no rounding for one."""

import attrs
import judging
import pytest
import runs
import sympy
from falsify import known
from grammar.core import EPS, LR, P
from judging import Outcome
from programs import declared
from runs import Said, Setting

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import Assumption, Kind
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.compiler.invariance.witness import Experiment, Witness
from normdsl.compiler.verdicts.check import check

GRAM, UNDER = G @ G.T, G.T @ G


def claimed(rule, group, *conditions):
    """Return the verdict that a rule is invariant, true or not."""
    status = Status.CONDITIONAL if conditions else Status.INVARIANT
    return Verdict(rule, group, status, conditions)


#: What Adam is not invariant under; here as what is not proved of it, which takes no runs.
BROKEN = [x for x in g.ALL if check(a.adam, x, witnesses=False).status is Status.UNKNOWN]


@pytest.mark.parametrize("group", BROKEN)
def test_false_claims_are_seen(group):
    rule = declared(W - LR * nd.ema(G, 0.9) / (nd.sqrt(nd.ema(G * G, 0.99)) + EPS))
    assert judging.settle(claimed(rule, group))[0] is Outcome.DISAGREEMENT


def test_a_missing_equation_is_seen_and_a_met_one_is_met():
    rule = declared(W + LR * nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G))
    p = sympy.Symbol("p", nonnegative=True)
    assert judging.settle(claimed(rule, g.scale))[0] is Outcome.DISAGREEMENT
    right = claimed(rule, g.scale, sympy.Eq(2 * p, 1))
    wrong = claimed(rule, g.scale, sympy.Eq(p, 1))
    assert judging.settle(right)[0] is Outcome.CONDITIONAL
    assert judging.settle(wrong)[0] is Outcome.DISAGREEMENT


def test_states_start_as_the_proof_says():
    @nd.optimizer
    def whitened(lr=0.1):
        gathered = nd.accumulate(GRAM, nd.eye_like(GRAM))
        return W - lr * nd.inverse(gathered) @ G

    verdict = check(whitened, g.left_affine)
    assert any(c.kind is Kind.TRANSPORTED for c in runs.assumptions(verdict))
    assert judging.settle(verdict)[0] is Outcome.CONDITIONAL
    forgotten = attrs.evolve(
        verdict, conditions=tuple(c for c in verdict.conditions if c.kind is not Kind.TRANSPORTED)
    )
    assert judging.settle(forgotten)[0] is Outcome.DISAGREEMENT


def test_runs_that_do_not_meet_an_assumption_say_nothing():
    rule = declared(W - LR * G @ nd.inverse(UNDER))
    rank = Assumption(Kind.FULL_RANK, UNDER)
    assert judging.settle(claimed(rule, g.right_affine))[0] is Outcome.DISAGREEMENT
    assert judging.settle(claimed(rule, g.right_affine, rank))[0] is Outcome.CONDITIONAL
    assert not known([Assumption(Kind.VANISHING, EPS)])


def test_rounding_is_not_taken_for_a_broken_invariance():
    """What lies outside the range of G is zero, and its sign a lottery."""
    q = nd.polar(G)
    lottery = declared(W - LR * nd.sign(G - q @ (q.T @ G)))
    assert judging.settle(claimed(lottery, g.orthogonal))[0] is Outcome.UNREADABLE


def test_a_refutation_by_rounding_is_not_confirmed():
    """A projector onto the range of G does nothing to G, but its root is cut by rounding."""
    range_of = nd.matrix_power(G @ nd.inverse(UNDER) @ G.T, 0.5)
    rule = declared(W - LR * nd.preconditioned(nd.frobenius, left=range_of).sharp(G))
    seen = Witness(Experiment(rule, g.sign_flips, {"lr": 0.05}, 1, (4, 3)), 1, 0.5, lambda _: [])
    refuted = Verdict(rule, g.sign_flips, Status.REFUTED, witness=seen)
    assert judging.settle(refuted)[0] is Outcome.UNCONFIRMED


def test_a_rule_that_stays_is_unreadable():
    rest = declared(W + 0 * LR * G + nd.prev(nd.zeros_like(G)) * nd.sum(G))
    setting = Setting((3, 4), 1, ())
    assert runs.compare(rest, g.scale, setting).said is Said.UNREADABLE


def test_refutations_of_random_rules_are_judged_by_samples_of_another_size():
    z = nd.normal_like(G)
    together = declared(W - LR * nd.sign(G) / nd.abs(nd.sum(z)) - LR * z)
    refuted = check(together, g.scale)
    assert refuted.status is Status.REFUTED
    assert judging.settle(refuted)[0] is Outcome.REFUTED
    setting = Setting((3, 4), 1, (("lr", 0.1),))
    assert runs.sampled(together, g.sign_flips, setting).said is Said.PART
    assert runs.sampled(together, g.permutations, setting).said is Said.AGREE


def test_a_witness_of_another_size_is_run_again_at_its_size():
    refuted = a.adam.check(g.loss_scale, eps=1e-8)
    assert refuted.witness.experiment.size.gradients < 1e-5
    assert judging.settle(refuted)[0] is Outcome.REFUTED


def test_what_takes_too_long_is_an_error(monkeypatch):
    monkeypatch.setattr(judging, "PATIENCE", 1)
    monkeypatch.setattr(judging, "check", lambda *_: forever())
    assert judging.judge(a.sgd, g.scale).outcome is Outcome.ERROR


def forever():
    while True:
        pass
