"""Coefficients that change from step to step: as symbols, and in shifts, units and exponents."""

import proofs
import pytest
import sympy

import normdsl as nd
from normdsl import G, W, t
from normdsl.compiler.invariance import coefficients as c
from normdsl.compiler.invariance.coefficients import Varying, coefficient, symbol
from normdsl.compiler.invariance.unit_equations import equal
from normdsl.compiler.verdicts.check import check
from normdsl.expressions.domains import NON_NEGATIVE, POSITIVE
from normdsl.expressions.nodes import Param
from normdsl.expressions.recursion import Before

p, b = Param("p", POSITIVE), Param("b", NON_NEGATIVE)
SIZE = nd.ema(nd.frobenius.value(G), 0.9)
NOW, P, B = coefficient(t), symbol(p), symbol(b)
ZERO = sympy.Integer(0)


def test_scalars_become_sympy_over_hyper_parameters_and_symbols():
    assert coefficient(2 * p + 1) == 2 * P + 1
    assert coefficient(p**2) == P**2
    assert coefficient((t - 1) / t) == (NOW - 1) / NOW
    assert coefficient(nd.rows) != coefficient(nd.cols)


def test_equal_expressions_have_one_symbol():
    assert coefficient(nd.sum(G * W)) == coefficient(nd.inner(W, G))
    assert coefficient(nd.sum(G)) != coefficient(nd.sum(W))


def test_a_hyper_parameter_may_be_called_like_a_stream():
    assert symbol(Param("t", POSITIVE)) != NOW


def test_a_step_ago_there_were_other_values_but_the_same_lengths():
    assert c.aged(P * NOW) == P * (NOW - 1)
    assert c.aged(coefficient(nd.rows)) == coefficient(nd.rows)
    assert c.aged(coefficient(nd.exp(-p))) == coefficient(nd.exp(-p))
    old = c.aged(coefficient(SIZE))
    assert isinstance(old, Varying)
    assert old.expr == Before(SIZE.recursion, 0)
    assert c.aged(coefficient(nd.sum(G))) != coefficient(nd.sum(G))


def test_before_the_first_step_states_are_their_starts():
    assert c.begun(1 - B**NOW) == 0
    assert c.begun(coefficient(SIZE)) == 0
    assert c.begun(coefficient(nd.sum(G))).has(Varying)


def test_an_equation_holds_at_every_step_if_its_coefficients_vanish():
    assert equal(B / NOW, ZERO) == {sympy.Eq(B, 0)}
    assert equal(1 - 1 / NOW, sympy.Integer(1)) is None
    assert equal(B * B ** (NOW - 1), B**NOW) == frozenset()
    assert equal(NOW / (NOW + 1) + 1 / (NOW + 1), sympy.Integer(1)) == frozenset()
    assert equal(B / coefficient(nd.rows), B / coefficient(nd.cols)) == {sympy.Eq(B, 0)}
    assert equal(NOW, sympy.Integer(1)) is None, "never a condition on t"
    assert equal(P * B ** (NOW - 1), P) is None, "β = 0 does not make 1 vanish"


def test_a_linear_recurrence_in_closed_form():
    x = sympy.Dummy("x")
    assert equal(c.closed(B * x + 1 - B, x, ZERO), 1 - B**NOW) == frozenset()
    assert c.closed(x + 2, x, sympy.Integer(1)) == 1 + 2 * NOW
    assert c.closed(x / NOW, x, ZERO) is None


def mean(lr=0.1, decay=0.0):
    stepped = W - lr * G - lr * decay * W
    return nd.fix(lambda x: (1 - 1 / t) * x + stepped / t, W)


def schedule_free(lr=0.1, beta1: nd.Fraction = 0.9):
    """Gradients at y = (1 − β) z + β x, with z ← z − η G and x the mean of the z so far."""

    def step(z, x):
        new = z - lr * G
        return new, (1 - 1 / t) * x + new / t

    z, x = nd.fix(step, (W, W))
    return (1 - beta1) * z + beta1 * x


def schedule_free_decayed(lr=0.1, beta1: nd.Fraction = 0.9, decay=0.0):
    def step(z, x):
        new = z - lr * (G + decay * W)
        return new, (1 - 1 / t) * x + new / t

    z, x = nd.fix(step, (W, W))
    return (1 - beta1) * z + beta1 * x


def weighted_by_rates(lr=0.1):
    rate = nd.sqrt(t)
    share = rate / nd.accumulate(rate)
    z, x = nd.fix(lambda z, x: (z - lr * rate * G, (1 - share) * x + share * z), (W, W))
    return (z + 9 * x) / 10


def shares_of_lengths(lr=0.1, w: nd.Fraction = 0.1):
    return (1 - w / nd.rows) * W + w / nd.rows * W - lr * G


def unequal_shares(lr=0.1, w: nd.Fraction = 0.1):
    return (1 - w / nd.rows) * W + w / nd.cols * W - lr * G


def share_of_a_norm(lr=0.1):
    size = 1 + nd.frobenius.value(G)
    return (1 - 1 / size) * W + W / size - lr * G


def share_of_an_old_state(lr=0.1):
    def step(s, x):
        share = 1 / (1 + s)
        return s + nd.frobenius.value(G), (1 - share) * x + share * (W - lr * G)

    return nd.fix(step, (0, W))[1]


def unbiased(lr=0.1, beta: nd.Fraction = 0.9):
    return nd.ema(W, beta, debias=True) - lr * G


def unbiased_by_a_number(lr=0.1):
    return nd.ema(W, 0.9, debias=True) - lr * G


def sum_over_steps(lr=0.1):
    return nd.accumulate(W) / t - lr * G


def proximal(lr=0.1, decay=0.0):
    return (W - lr * G) / (1 + lr * decay)


def powers_of_one(lr=0.1):
    return W - lr * nd.sign(G) * nd.abs(G) ** (1 - 1 / t) * nd.frobenius.value(G) ** (1 / t - 1)


def geometric_mean(lr=0.1, beta: nd.Fraction = 0.9):
    v = nd.fix(lambda v: v**beta * nd.abs(G) ** (1 - beta), nd.zeros_like(G) + 1)
    return W - lr * G / v ** (1 / (1 - beta**t))


PROVED = [
    (mean, "translation", "invariant if decay = 0"),
    (schedule_free, "translation", "invariant"),
    (schedule_free_decayed, "translation", "invariant if decay = 0"),
    (weighted_by_rates, "translation", "invariant"),
    (shares_of_lengths, "translation", "invariant"),
    (unequal_shares, "translation", "invariant if w = 0"),
    (share_of_a_norm, "translation", "invariant"),
    (share_of_an_old_state, "translation", "invariant"),
    (unbiased, "translation", "invariant"),
    (unbiased_by_a_number, "translation", "invariant"),
    (sum_over_steps, "translation", "invariant"),
    (proximal, "translation", "invariant if decay = 0"),
    (powers_of_one, "loss_scale", "invariant"),
    (geometric_mean, "loss_scale", "invariant"),
]


@pytest.mark.parametrize(("rule", "group", "answer"), PROVED, ids=[r[0].__name__ for r in PROVED])
def test_what_holds_at_every_step_is_proved(rule, group, answer):
    verdict = check(nd.optimizer(rule), group, witnesses=False)
    assert verdict.answer == answer
    proofs.assert_proof_holds(verdict)


def half_a_share(lr=0.1):
    return (1 - 1 / t) * W + W / (t + 1) - lr * G


def biased(lr=0.1):
    return nd.ema(W, 0.9) / (1 - 0.9 ** (t + 1)) - lr * G


def moving_share(lr=0.1):
    share = 1 / (1 + nd.frobenius.value(W))
    return (1 - share) * W + share * W - lr * G + share * W


def share_of_yesterday(lr=0.1):
    size = nd.frobenius.value(G)
    return W - lr * G + size * W - nd.prev(size) * W


def decayed_by_an_average(lr=0.1, beta: nd.Fraction = 0.9, gamma: nd.Fraction = 0.6):
    """W shrinks whatever β and γ are."""
    return W - lr * (gamma * nd.prev(nd.ema(W, beta)) + (1 - gamma) * W + G)


@pytest.mark.parametrize(
    "rule", [decayed_by_an_average, half_a_share, biased, moving_share, share_of_yesterday]
)
def test_what_does_not_hold_is_refuted(rule):
    assert check(nd.optimizer(rule), "translation").answer == "not invariant"


def test_laws_name_what_is_in_them():
    verdict = check(nd.optimizer(weighted_by_rates), "translation", witnesses=False)
    shifts = {line.moves for line in verdict.proof}
    assert any("share" in shift for shift in shifts), shifts
