"""Text: numbers are exact where they can be, brackets stand where they must."""

from fractions import Fraction

import pytest
import torch

from normdsl.compiler.lowering.fragments import axes_of, bracketed, floating, rational
from normdsl.show.notation import Level, Piece


@pytest.mark.parametrize(
    ("value", "text", "level"),
    [
        (Fraction(3), "3", Level.ATOM),
        (Fraction(-3), "-3", Level.PRODUCT),
        (Fraction(1, 4), "0.25", Level.ATOM),
        (Fraction(2**53), "9007199254740992.0", Level.ATOM),
    ],
)
def test_rational_numbers(value, text, level):
    assert (rational(value).text, rational(value).level) == (text, level)
    assert eval(text) == value


def test_floating_numbers():
    assert eval(floating(float("inf")), {"torch": torch}) == float("inf")
    assert floating(0.1) == "0.1"


def test_axes_and_brackets():
    assert (axes_of(True, False), axes_of(True, True)) == ("(-2,)", "(-2, -1)")
    total = Piece("a + b", Level.SUM)
    assert bracketed(total, Level.SUM) == "a + b"
    assert bracketed(total, Level.PRODUCT) == "(a + b)"
