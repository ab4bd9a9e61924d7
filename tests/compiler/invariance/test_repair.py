"""Repairs: each proposed rule is invariant, in proof and in runs; the smallest come first."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.invariance.conditions import Assumption
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import PARTED, Experiment
from normdsl.compiler.verdicts.simulate import twins


@nd.optimizer
def coupled_decay(lr=0.1, decay=0.1):
    grad = G + decay * W
    return W - lr * grad * nd.reciprocal(nd.ema(grad * grad, 0.9))


@nd.optimizer
def two_faults(lr=0.1, decay: nd.Positive = 0.1):
    grad = G + decay * W
    return W - lr * grad * nd.reciprocal(nd.sqrt(nd.ema(grad * grad, 0.9)))


def told(rule, group):
    return [str(r).split(": ", 1) for r in nd.repair(rule, group)]


def test_eps_is_dropped_or_made_relative():
    changes = [str(r) for r in nd.repair(a.adam, "loss_scale")]
    assert changes[0] == "eps = 0: invariant"
    assert any("ε relative to the size of √v: invariant" in c for c in changes)


def test_the_square_root_is_taken_away():
    found = nd.repair(a.muadam, nd.groups.scale)
    assert "the exponent 1/2 of v becomes 1" in str(found[0])
    assert found[0].verdict.answer == "invariant if eps = 0"
    assert found.verdict is None


def test_an_lmo_is_taken_for_a_sharp_step():
    assert "an LMO for sharp" in str(nd.repair(a.sgd, "loss_scale")[0])


def test_coupled_decay_becomes_decoupled():
    found = {r.changes: r for r in nd.repair(coupled_decay, "scale")}
    assert ("decay = 0",) in found
    (decoupled,) = (r for c, r in found.items() if "decoupled decay −η decay W for" in c[0])
    assert decoupled.verdict.invariant
    assert decoupled.declaration.defaults.keys() == {"lr", "decay"}


def test_a_step_size_may_have_any_name():
    @nd.optimizer
    def renamed(pace=0.1, decay=0.1):
        grad = G + decay * W
        return W - pace * grad * nd.reciprocal(nd.ema(grad * grad, 0.9))

    assert any("decoupled decay −pace decay W" in str(r) for r in nd.repair(renamed, "scale"))


def test_two_faults_need_two_edits():
    found = nd.repair(two_faults, "scale")
    assert found[0].verdict.invariant
    decay, exponent = found[0].changes
    assert "the exponent 1/2 of s₁ becomes 1" in exponent
    assert "decoupled decay −η decay W for grad" in decay
    assert (
        found[len(found) - 1].verdict.answer == "invariant in the limit decay → 0, where continuous"
    )


def test_what_is_invariant_needs_none_and_what_cannot_be_mended_is_said():
    assert len(nd.repair(a.muon, "orthogonal")) == 0
    assert str(nd.repair(a.muon, "orthogonal")).endswith("nothing to repair")
    assert "no repair of one or two edits" in str(nd.repair(a.sign_sgd, "scale"))


CASES = [
    (a.adam, "loss_scale"),
    (a.adam, "scale"),
    (a.muadam, "scale"),
    (a.sgd, "loss_scale"),
    (coupled_decay, "scale"),
    (a.one_sided_shampoo, "loss_scale"),
    (two_faults, "scale"),
]


@pytest.mark.parametrize(("rule", "group"), CASES, ids=lambda x: getattr(x, "name", x))
def test_every_repair_is_what_it_claims(rule, group):
    found = nd.repair(rule, group)
    assert len(found) > 0
    for repair in found:
        again = repair.declaration.check(group)
        assert again.status is not Status.REFUTED
        assert again.answer == repair.verdict.answer
        hyper = {h.name: 0.5 if h.domain.high <= 1 else 0.05 for h in repair.declaration.hyper}
        equations = [c for c in repair.verdict.conditions if not isinstance(c, Assumption)]
        hyper |= {str(c.lhs): float(c.rhs) for c in equations}
        if not repair.verdict.limits:
            run = twins(Experiment(repair.declaration, nd.groups.named(group), hyper))
            assert max(run.drift) < PARTED


def test_repairs_are_sorted_and_declarations_can_be_saved():
    found = nd.repair(a.adam, "loss_scale")
    assert [r.cost for r in found] == sorted(r.cost for r in found)
    for r in found:
        assert nd.from_json(nd.to_json(r.declaration)) == r.declaration


def test_a_draw_is_no_constant_to_be_dropped():
    @nd.optimizer
    def noisy(lr=0.1):
        return W - lr * (G / (nd.abs(G) + nd.abs(nd.normal_like(G))))

    assert not any("without" in str(r) for r in nd.repair(noisy, "loss_scale"))
