"""Polynomial iterations: published bands, exact images, refusals of sign flips."""

import math

import pytest
import torch
from properties import refuses
from spectra import scalar_map

import normdsl as nd
from normdsl.schedules.polynomials import NewtonSchulz

CLASSIC = (1.875, -1.25, 0.375)
KJ = (3.4445, -4.7750, 2.0315)
OLD_AOL = (
    (4.0098, -7.0585, 2.4635),
    (3.4585, -5.5479, 2.5959),
    (2.7573, -3.2939, 1.4254),
    (2.7215, -3.0494, 1.3169),
)
CUBIC = tuple(
    (a, b, 0.0)
    for a, b in (
        (3.3656576, -3.3420992),
        (2.5744352, -1.4957376),
        (2.5368962, -1.4312570),
        (2.4418906, -1.2764040),
        (2.2230472, -0.9630650),
    )
)
raw = NewtonSchulz
#: Slope at 0, band from 1e-3, band from 1e-2, value at 1: measured by others, to printed digits.
PUBLISHED = {
    "jordan 5": (nd.jordan(), "485", "0.47 1.20", "0.682 1.134", "0.696"),
    "jordan 10": (nd.jordan(10), "2.4e5", "0.682 1.134", "0.682 1.134", "1.125"),
    "quintic": (nd.quintic(), "493", "0.475 1.145", "0.978 1.032", "0.978"),
    "express 5": (nd.polar_express(5, safety=1), "1026", "0.876 1.124", "0.876 1.124", "1.124"),
    "express 8": (nd.polar_express(8, safety=1), "6822", "1.000 1.000", "1.000 1.000", "1.000"),
    "safe 5": (nd.polar_express(5, safety=1.01), "976", "0.846 1.124", "0.870 1.124", "1.029"),
    "safe 8": (nd.polar_express(8, safety=1.01), "6363", "1.000 1.000", "1.000 1.000", "1.000"),
    "cans": (nd.cans(safety=1), "1049", "0.884 1.120", "0.884 1.120", "1.005"),
    "turbo": (nd.Turbo(), "147", "0.147 1.050", "0.941 1.050", "0.944"),
    "jordan, classic": (raw((KJ,) * 8 + ((2.0, -1.5, 0.5),) * 2), "7.9e4", "1.000 1.001",
                        "1.000 1.001", "1.000"),
    "cubic": (raw(CUBIC), "119", "0.12 1.30", "0.774 1.300", "0.774"),
    "classic quintic": (raw((CLASSIC,) * 10), "537", "0.50 1.00", "1.000 1.000", "1.000"),
    "classic cubic": (raw(((1.5, -0.5, 0.0),) * 15), "438", "0.42 1.00", "1.000 1.000", "1.000"),
    "unstable": (raw(((3.4916, -4.8224, 2.1095),) * 5), "519", "0.50 3.31", "0.77 3.31", "0.777"),
}  # fmt: skip


def printed(text):
    """Return a number and half a unit of its last digit."""
    digits, _, power = text.partition("e")
    unit = 10.0 ** -len(digits.partition(".")[2]) * 10.0 ** int(power or 0)
    return pytest.approx(float(text), abs=0.51 * unit)


@pytest.mark.parametrize(
    ("method", "slope", "wide", "narrow", "at_one"), PUBLISHED.values(), ids=PUBLISHED.keys()
)
def test_bands_are_the_published_ones(method, slope, wide, narrow, at_one):
    assert math.prod(a for a, _, _ in method.coefficients) == printed(slope)
    for lowest, band in ((1e-3, wide), (1e-2, narrow), (1.0, f"{at_one} {at_one}")):
        assert list(method.band(lowest)) == [printed(end) for end in band.split()]


@pytest.mark.parametrize("method", [row[0] for row in PUBLISHED.values()], ids=PUBLISHED.keys())
def test_a_band_is_the_range_on_a_fine_grid_and_nothing_flips(method):
    low, high = method.covers
    grid = torch.logspace(math.log10(low), math.log10(high), 20001, dtype=torch.float64)
    image = scalar_map(grid, method.coefficients)
    assert method.band() == pytest.approx((image.min().item(), image.max().item()), abs=1e-3)
    assert method.band()[0] <= image.min() + 1e-12
    assert method.band()[1] >= image.max() - 1e-12
    below = torch.logspace(-12, 0, 4001, dtype=torch.float64)
    assert scalar_map(below, method.coefficients).min() > 0


@pytest.mark.parametrize("make", [NewtonSchulz, nd.Turbo, nd.GramNewtonSchulz])
def test_what_flips_a_sign_is_refused(make):
    with refuses(nd.DeclarationError, "flipped sign", "-1.1"):
        make(OLD_AOL)
    assert scalar_map(torch.tensor(1.0), OLD_AOL).item() == pytest.approx(-0.994, abs=5e-4)


def test_what_diverges_is_refused():
    with refuses(nd.DeclarationError, "inf"):
        NewtonSchulz(((8.0, 3.0, 5.0),) * 12)


@pytest.mark.parametrize("covers", [(0.0, 1.0), (0.5, 0.1), (1e-3, 1.5), (1e-3,), None, ("a", 1)])
def test_an_interval_outside_the_unit_one_is_refused(covers):
    with refuses(nd.DeclarationError):
        NewtonSchulz((KJ,), None, covers)


@pytest.mark.parametrize("restart", [0, -1, 2.0, True, "2"])
def test_restarts_are_whole_numbers(restart):
    with refuses(nd.DeclarationError, "restart"):
        nd.jordan().on_gram(restart)


def test_the_gram_form_has_the_same_polynomials_and_band():
    method = nd.polar_express(5, "bfloat16")
    gram = method.on_gram(3)
    assert isinstance(gram, nd.GramNewtonSchulz)
    assert gram.restart == 3
    assert (gram.coefficients, gram.dtype) == (method.coefficients, "bfloat16")
    assert gram.band() == method.band()
