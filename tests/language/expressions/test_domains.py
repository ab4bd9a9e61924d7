"""Where hyper-parameters may lie."""

import math
import typing
from fractions import Fraction

import numpy as np
import pytest
from properties import refuses

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.domains import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    UNSTATED,
    Domain,
    NarrowDomain,
    domain_of,
    number,
)
from normdsl.expressions.nodes import Param

ANNOTATIONS = {
    "Real": REAL,
    "NonNegative": NON_NEGATIVE,
    "Positive": POSITIVE,
    "Fraction": FRACTION,
}


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (REAL, [-1e308, 0, 5], [math.inf, -math.inf]),
        (NON_NEGATIVE, [0, 1e-300, 1e308], [-1e-300, math.inf]),
        (POSITIVE, [1e-300, 1], [0, -1, math.inf]),
        (FRACTION, [0, 0.5, 1 - 1e-16], [1, -1e-16, 2]),
        (UNSTATED, [0, 7], [-1, math.inf]),
    ],
)
def test_contains(domain, inside, outside):
    assert all(map(domain.contains, inside))
    assert not any(map(domain.contains, outside))
    assert not domain.contains(math.nan)


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations_are_plain_annotated_types(name):
    annotation = getattr(nd, name)
    assert typing.get_origin(annotation) is typing.Annotated
    assert domain_of(annotation) == ANNOTATIONS[name]
    assert domain_of(annotation).name == name


@pytest.mark.parametrize("annotation", [int, "x", None, typing.Annotated[float, "no domain"]])
def test_other_annotations_state_none(annotation):
    assert domain_of(annotation) is None


WORDS = {
    REAL: "any real number",
    NON_NEGATIVE: "a number ≥ 0",
    POSITIVE: "a number > 0",
    FRACTION: "a number with 0 ≤ x < 1",
    Domain("At most one", high=1.0): "a number ≤ 1",
    Domain("Debt", high=0.0, high_open=True): "a number < 0",
    Domain("Inner", -1.0, 1.0, low_open=True): "a number with -1 < x ≤ 1",
}


@pytest.mark.parametrize(("domain", "words"), WORDS.items(), ids=lambda x: getattr(x, "name", ""))
def test_a_domain_in_words(domain, words):
    assert domain.in_words("x") == words


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        (-1, "≥ 0"),
        (math.inf, "≥ 0, and inf is not finite"),
        (math.nan, "≥ 0, and nan is not finite"),
        ("0.1", "≥ 0, and '0.1', a str, is not one"),
        (True, "≥ 0, and True, a bool, is not one"),
        (None, "≥ 0, and None is not one"),
    ],
)
def test_why_a_value_is_refused(value, ending):
    assert NON_NEGATIVE.refusal("lr", value) == f"lr must be a number {ending}"


def declared(function):
    return nd.optimizer(function).hyperparameter("beta").domain


def test_annotation_is_the_domain():
    def rule(beta: nd.Positive = 1.0):
        return W - beta * G

    assert declared(rule) == POSITIVE


def test_no_annotation_means_never_negative():
    def rule(beta=0.5):
        return W - beta * G

    def floating(beta: float = 0.5):
        return W - beta * G

    assert declared(rule) == declared(floating) == UNSTATED


@pytest.mark.parametrize(
    "use",
    [
        lambda beta: nd.ema(G, beta),
        lambda beta: nd.momentum(G, 0.9, readout=beta),
        lambda beta: nd.ema(nd.ema(G, 0.5), beta, debias=True),
        lambda beta: beta * nd.ema(beta * G, beta),
    ],
)
def test_use_as_a_rate_narrows_to_a_fraction(use):
    def rule(beta=0.5):
        return W - use(beta)

    assert declared(rule) == FRACTION


def test_two_rates_are_both_narrowed():
    def rule(lr=3.0, beta=0.5, gamma=0.9):
        return W - lr * nd.ema(nd.ema(G, beta), gamma)

    domains = [h.domain for h in nd.optimizer(rule).hyper]
    assert domains == [UNSTATED, FRACTION, FRACTION]


def test_narrowing_makes_the_default_illegal():
    def rule(beta=1.0):
        return W - nd.ema(G, beta)

    with refuses(
        nd.HyperparameterError, "with beta = 1.0", "the rate of an average", "0 ≤ beta < 1"
    ):
        nd.optimizer(rule)


@pytest.mark.parametrize("annotation", [nd.Real, nd.NonNegative, nd.Positive])
def test_a_stated_domain_is_never_narrowed(annotation):
    def rule(beta: annotation = 0.5):
        return W - nd.ema(G, beta)

    with refuses(nd.DomainError, "as the rate of an average", "beta: nd.Fraction"):
        nd.optimizer(rule)


def test_narrowing_outside_a_declaration_is_a_refusal_too():
    with refuses(NarrowDomain, "beta: nd.Fraction"):
        nd.ema(G, Param("beta", UNSTATED))
    assert issubclass(NarrowDomain, nd.DomainError)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (2, 2),
        (0.5, 0.5),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        (Fraction(1, 3), 1 / 3),
        (Fraction(10**400), math.inf),
    ],
)
def test_real_numbers_become_those_of_python(given, known):
    assert number(given) == known
    assert type(number(given)) is type(known)


@pytest.mark.parametrize("given", [None, "1", True, np.bool_(True), 1j, np.ones(1), [1], G])
def test_what_is_no_real_number_is_none(given):
    assert number(given) is None
