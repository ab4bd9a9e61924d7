"""Finiteness: rules whose own runs are no numbers, always or sometimes, and the part at fault."""

import pytest
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W, t
from normdsl import algorithms as a
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.remarks import may_stop
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.verdicts.finiteness import remarks

SIZE = nd.frobenius.value
OLD = nd.prev(G)

ALWAYS = {
    "a first step by what was not seen yet": (W - 0.1 * (G + OLD / SIZE(OLD)), "0/0", 1),
    "a root of a start at zero": (W - 0.1 * G / nd.sqrt(nd.prev(nd.ema(G * G, 0.9))),
                                  "a division by zero", 1),
    "a pole of the clock": (W - 0.1 * G / (t - 2), "a division by zero", 2),
    "a start": (W - 0.1 * nd.fix(lambda s: s + G, W / (SIZE(W) - SIZE(W))),
                "a division by zero", 1),
    "lengths": (W - 0.1 * G / (nd.rows - nd.rows), "a division by zero", 1),
    "a logarithm": (W - 0.1 * nd.log(nd.abs(OLD)) * G, "a logarithm of what is not positive", 1),
}  # fmt: skip

SOMETIMES = {
    "without a gradient": (W - 0.1 * G / SIZE(G), "where G = 0: 0/0"),
    "from zero": (W - 0.1 * G / SIZE(W), "where W = 0: a division by zero"),
    "tall weights": (W - 0.1 * G / nd.maximum(nd.cols - nd.rows, 0), "with W 4×3 or 4×4"),
}


def declared(update):
    return nd.Declaration("rule", (), update)


@pytest.mark.parametrize("case", ALWAYS)
def test_a_rule_that_is_never_finite_has_no_invariance(case):
    update, reason, step = ALWAYS[case]
    found = remarks(declared(update)).always
    assert (found.reason, found.step) == (reason, step)
    for verdict in declared(update).check():
        assert verdict.status is Status.UNKNOWN
        assert f"{reason} at step {step}: the rule's own run is not finite" in verdict.because
        assert "typing failed" not in str(verdict)


@pytest.mark.parametrize("case", [*ALWAYS.values(), *SOMETIMES.values()], ids=str)
def test_what_may_have_no_value_is_known_without_a_run(case):
    assert may_stop(case[0])
    assert not may_stop(W - 0.1 * nd.spectral.lmo(nd.ema(G, 0.9)) * nd.reciprocal(nd.sum(G)))


def test_the_line_at_fault_is_named():
    @nd.optimizer
    def never(lr=0.1):
        unit = OLD / SIZE(OLD)
        return W - lr * (G + unit)

    verdict = never.check(g.translation)
    assert verdict.culprit.where.text == "unit = OLD / SIZE(OLD)"
    assert never.check(g.translation, witnesses=False).status is Status.INVARIANT


@pytest.mark.parametrize("case", SOMETIMES)
def test_a_rule_that_is_sometimes_not_finite_is_remarked_upon(case):
    update, told = SOMETIMES[case]
    rule = declared(update)
    assert remarks(rule).always is None
    verdict, report = rule.check(g.transpose), rule.check()
    assert told in str(verdict)
    assert told in verdict._repr_html_()
    assert any(told in note for note in report.notes)
    assert told in str(report)
    assert told in report._repr_html_()
    assert "not finite" in report._repr_latex_()


def test_defaults_that_make_no_number_are_named():
    @nd.optimizer
    def by_difference(lr=0.1, b1=0.9, b2=0.9):
        return W - lr * G / (b1 - b2)

    (found,) = remarks(by_difference).sometimes
    assert "with lr = 0.1, b1 = 0.9, b2 = 0.9" in found.show(by_difference.labels)


@pytest.mark.parametrize("update", [W - nd.exp(nd.exp(nd.abs(G))) * G, W - 0.1 * G * nd.exp(999.0)])
def test_what_is_only_large_is_no_fault(update):
    assert remarks(declared(update)) == remarks(a.sgd)


@pytest.mark.parametrize("name", in_turn(2))
def test_rules_that_come_along_are_finite(name):
    found = remarks(getattr(a, name))
    assert found.always is None
    assert found.sometimes == ()
