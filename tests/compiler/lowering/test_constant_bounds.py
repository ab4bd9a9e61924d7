"""Numbers of emitted code: whole numbers stay small, legal ones are left alone."""

from fractions import Fraction

import pytest
import torch
from properties import evaluate, refuses, rule, within

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.nodes.arithmetic import Mul, Pow
from normdsl.expressions.nodes.constants import Constant

GRADIENT = torch.ones(3, 4, dtype=torch.float64)


def constant(value):
    return Constant(Fraction(value))


def raised(base, exponent, times=1):
    """Return a tower of powers, which the usual operators would fold away."""
    for _ in range(times):
        base = Pow(base, constant(exponent))
    return base


def doubled(base, times):
    for _ in range(times):
        base = Mul(base, base)
    return base


@pytest.mark.parametrize(
    "number",
    [raised(constant(2), 10**9), raised(constant(3), 64, times=20), raised(nd.rows, 10**9),
     raised(nd.rows, 64, times=20), doubled(nd.cols, 100), doubled(constant(2), 100),
     raised(nd.rows + nd.cols, 10**300), Pow(constant(2), nd.rows), raised(constant("3/2"), 10**6)],
    ids=lambda x: str(x)[:20],
)  # fmt: skip
def test_numbers_beyond_floating_point_are_refused_before_they_are_computed(number):
    with within(3), refuses(nd.DeclarationError, "1.8e308"):
        rule(number * G).source()


@pytest.mark.parametrize(
    ("number", "value"),
    [(nd.rows**3 / nd.cols**2, 27 / 16), (raised(constant(2), 1000), 2.0**1000),
     (nd.rows**10 * nd.cols**15, 3.0**10 * 4.0**15), (doubled(nd.cols, 5), 2.0**64),
     (raised(constant("1/2"), 10**9), 0.0), (nd.sqrt(nd.rows * nd.cols), 12**0.5),
     (nd.maximum(nd.rows / nd.cols, 1) ** 0.5, 1.0), (raised(nd.cols, -(10**9)), 0.0)],
    ids=str,
)  # fmt: skip
def test_other_numbers_are_what_they_were(number, value):
    assert torch.equal(evaluate(number * G, GRADIENT), value * GRADIENT)


def test_products_of_constants_do_not_grow_without_end():
    """Folded three by three, 399 digits would become 3^50 times as many."""
    x = Constant(Fraction(10**399, 10**399 - 1))
    for _ in range(50):
        x = Mul(x, Mul(x, x))
    with within(3), refuses(nd.DeclarationError, "digits"):
        rule(x * G).source()


def test_every_constant_that_can_be_declared_can_be_read_back():
    with refuses(nd.DeclarationError, "400 digits"):
        constant(1e-300) ** 2
    declaration = nd.Declaration("small", (), W - constant(1e-300) * G)
    assert nd.from_json(nd.to_json(declaration)) == declaration
