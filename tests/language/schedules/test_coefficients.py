"""Sequences of coefficients: safety factors, lengths, and what they promise."""

import pytest
import torch
from spectra import scalar_map

import normdsl as nd

CLASSIC = (1.875, -1.25, 0.375)
#: What the docstrings say: where singular values in `covers` end.
PROMISED = {
    "jordan": (nd.jordan(), 1e-2, 0.68, 1.1345),
    "quintic": (nd.quintic(), 1e-2, 0.977, 1.032),
    "cans": (nd.cans(), 1e-3, 0.88, 1.12),
    "express 5": (nd.polar_express(5), 1e-3, 0.87, 1.13),
    "express 8": (nd.polar_express(), 1e-3, 0.999, 1.001),
}


@pytest.mark.parametrize(("method", "lowest", "low", "high"), PROMISED.values(), ids=PROMISED)
def test_what_they_cover_ends_where_they_say(method, lowest, low, high):
    assert method.covers == (lowest, 1.0)
    found = method.band()
    assert low <= found[0] < low + 0.005
    assert high - 0.01 < found[1] <= high


@pytest.mark.parametrize("make", [nd.polar_express, nd.cans])
def test_safety_keeps_slightly_larger_singular_values_in_the_band(make):
    """Rounding puts the largest singular value beyond 1; the plain polynomials explode there."""
    beyond = torch.tensor(1.004, dtype=torch.float64)
    for dtype in ("bfloat16", "float16"):
        assert 0.8 < scalar_map(beyond, make(dtype=dtype).coefficients) < 1.2
    assert not scalar_map(beyond, make(safety=1).coefficients).abs() < 1e3
    slightly = torch.tensor(1.0005, dtype=torch.float64)
    assert 0.8 < scalar_map(slightly, make().coefficients) < 1.2


def test_the_classic_steps_of_polar_express_have_no_safety():
    assert nd.polar_express(10, safety=1.01).coefficients[7:] == (CLASSIC,) * 3
