"""The page on scales says what the code does, and what it does is what its formulas say."""

import math

import pytest
import scales_doc

import normdsl as nd


def test_the_page_is_up_to_date():
    assert scales_doc.PAGE.read_text() == scales_doc.page(), "run: python tests/scales_doc.py"


def test_every_scale_is_on_it():
    assert set(scales_doc.USERS) == {s.name for s in nd.scale.ALL}


@pytest.mark.parametrize("shape", scales_doc.SHAPES, ids=str)
@pytest.mark.parametrize("scale", nd.scale.ALL, ids=lambda s: s.name)
def test_measured_lengths_are_those_of_the_formulas(scale, shape):
    found, factor = scales_doc.measure(scale, shape), scale.at(shape)
    assert found == pytest.approx((factor / math.sqrt(max(shape)), factor), rel=1e-12)


@pytest.mark.parametrize("shape", scales_doc.SHAPES, ids=str)
def test_what_the_page_says_of_three_of_them(shape):
    m, n = shape
    assert scales_doc.measure(nd.scale.unit_rms, shape)[0] == pytest.approx(1)
    assert scales_doc.measure(nd.scale.none, shape)[1] == pytest.approx(1)
    assert scales_doc.measure(nd.scale.spectral, shape)[1] * math.sqrt(n / m) == pytest.approx(1)
