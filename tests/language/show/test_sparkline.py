"""Sparklines: heights are logarithms, and the colour says whether rounding is left."""

import re

import pytest

from normdsl.show.colours import Tone
from normdsl.show.sparkline import curve, height, sparkline


def test_heights_are_logarithms_between_floor_and_ceiling():
    assert [height(x) for x in (1e-8, 1.0, 7.0)] == [pytest.approx(0.5), 1.0, 1.0]
    assert [height(x) for x in (0.0, 1e-20, float("nan"))] == [0.0] * 3
    assert sparkline([0.0, 1e-8, 1.0]) == "▁▅█"
    assert sparkline([]) == ""


def test_the_curve_has_a_point_a_number_and_the_colour_of_the_answer():
    ys = [float(y) for y in re.findall(r"cy='([\d.]+)'", curve([0.0, 1e-8, 1.0]))]
    assert ys == [60.0, 30.0, 0.0]
    assert Tone.BAD.page in curve([1e-3])
    assert Tone.GOOD.page in curve([1e-9])
