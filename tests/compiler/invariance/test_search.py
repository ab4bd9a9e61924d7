"""Searches: problems come in the sizes of the rule's numbers."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.search import literals, search
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import PARTED
from normdsl.compiler.verdicts import check

STEP = nd.frobenius.lmo(G)


def rule(update):
    return nd.Declaration("rule", (), update)


SMALL = {
    "an eps beside a root": STEP + G / (nd.sqrt(G * G) + 1e-8),
    "an eps below a root": G / nd.sqrt(G * G + 1e-12),
    "an eps below a fourth root": G / nd.sqrt(nd.sqrt(G**4 + 1e-16)),
    "a small bound": STEP * nd.frobenius.value(nd.clip(G, 1e-6)) / nd.frobenius.value(G),
    "a floor": G / nd.maximum(nd.frobenius.value(G), 1e-7),
    "a large bound": STEP * nd.frobenius.value(nd.clip(G, 1e5)) / nd.frobenius.value(G),
    "a large scale": nd.tanh(G / 1e6) / nd.abs(G) * nd.sign(G),
}


@pytest.mark.parametrize("case", SMALL)
def test_gradients_come_as_small_and_large_as_the_numbers_beside_them(case):
    verdict = rule(W - 0.01 * SMALL[case]).check(g.loss_scale)
    assert verdict.status is Status.REFUTED, str(verdict)
    assert verdict.witness.replay()[-1] == verdict.witness.drift > PARTED


@pytest.mark.parametrize("eps", [1e-8, 1e-12])
def test_an_eps_of_realistic_size_is_seen(eps):
    verdict = a.adam.check(g.loss_scale, eps=eps)
    assert verdict.status is Status.REFUTED
    assert verdict.witness.experiment.size.gradients < 1e-5
    assert "G × 1e" in str(verdict.witness)


@pytest.mark.parametrize("bound", [1e-5, 1e5])
def test_weights_come_as_small_and_large_as_the_numbers_beside_them(bound):
    trust = nd.maximum(nd.frobenius.value(W), bound)
    verdict = rule(W - 0.1 * trust * nd.sign(G)).check(g.uniform_scale)
    assert verdict.status is Status.REFUTED


def test_the_numbers_of_a_rule_are_its_literals_and_defaults_but_not_its_rate():
    assert literals(a.sgd) == []
    assert literals(a.adam.bind(eps=1e-8))[0] == 1e-8
    assert literals(rule(W - 0.001 * nd.sign(G - 1e6))) == [1e6, 1e-3]


def test_a_search_that_finds_nothing_says_so():
    assert search(a.sgd, g.orthogonal, check._simulate) is None
