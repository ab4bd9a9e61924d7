"""Normal forms with fractions: what they know to be equal, and what they must not."""

import pytest

import normdsl as nd
from normdsl import G
from normdsl.compiler.invariance.fractions import Fractions

x, y = nd.inner(G, G), nd.inner(G, nd.W)
c = nd.exp(nd.loss)


def equal(a, b, invertible=()):
    form = Fractions(invertible)
    form(a), form(b)
    again = form.again()
    return again(a) == again(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1 / (c * x + c * y), 1 / c / (x + y)),
        (1 / (1 + y / c), c / (c + y)),
        (1 / (2 * x - 2 * y), -1 / (2 * (y - x))),
        ((x + y) ** 2, x**2 + 2 * x * y + y**2),
        ((x + y) ** -2, 1 / (x + y) / (x + y)),
        (c / c * G, G),
        (nd.sign(c * G), nd.sign(G)),
    ],
)
def test_equal(a, b):
    assert equal(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (y / y * G, G),  # y may be zero
        (1 / (y * x + y), 1 / y / (x + 1)),
        (1 / (1 + y / c), c / (1 + y)),
        (1 / (x + y), 1 / (x - y)),
        (nd.sign(y * G), nd.sign(G)),
        ((x + y) ** -1, (x + y) ** -2),
    ],
)
def test_not_known_to_be_equal(a, b):
    assert not equal(a, b)


def test_a_number_before_an_invertible_matrix_is_not_zero():
    assert equal(y / y * G, G, invertible=[y * (G @ G.T)])
