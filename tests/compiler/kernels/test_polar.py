"""Polar kernels: exactness, degenerate input, scale safety, and bands of the polynomials."""

import pytest
import torch

import normdsl as nd
from normdsl.compiler.kernels.newton_schulz import polar_newton_schulz
from normdsl.compiler.kernels.polar import polar_svd

DOUBLE = torch.float64
DEGENERATE = {
    "zero": torch.zeros(3, 4, dtype=DOUBLE),
    "rank one": torch.ones(3, 4, dtype=DOUBLE),
    "repeated": torch.eye(3, 4, dtype=DOUBLE),
    "row": torch.arange(1.0, 5.0, dtype=DOUBLE).reshape(1, 4),
    "column": torch.arange(1.0, 5.0, dtype=DOUBLE).reshape(4, 1),
}


def random(*shape):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("x", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_svd_gives_the_partial_isometry(x):
    q = polar_svd(x)
    values = torch.linalg.svdvals(q)
    rank = int(torch.linalg.matrix_rank(x))
    expected = torch.cat([torch.ones(rank), torch.zeros(len(values) - rank)]).double()
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close((q * x).sum(), torch.linalg.svdvals(x).sum())


def test_svd_on_a_batch_is_a_loop():
    x = random(5, 4, 3)
    torch.testing.assert_close(polar_svd(x), torch.stack([polar_svd(y) for y in x]))


def scalar_map(values, coefficients):
    for a, b, c in coefficients:
        values = a * values + b * values**3 + c * values**5
    return values


@pytest.mark.parametrize("method", [nd.jordan(), nd.polar_express(5), nd.polar_express(8)])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_newton_schulz_is_its_scalar_map_on_singular_values(method, shape):
    x = random(*shape)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    expected = (u * scalar_map(s / s.norm(), method.coefficients)) @ vh
    got = polar_newton_schulz(x, method.coefficients, DOUBLE)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("method", "lowest", "low", "high"),
    [
        (nd.jordan(), 1e-2, 0.68, 1.14),
        (nd.polar_express(5), 1e-3, 0.87, 1.13),
        (nd.polar_express(8), 1e-3, 0.999, 1.001),
    ],
)
def test_the_polynomials_stay_in_their_bands_and_never_flip_signs(method, lowest, low, high):
    values = torch.logspace(torch.log10(torch.tensor(lowest)), 0, 4001, dtype=DOUBLE)
    image = scalar_map(values, method.coefficients)
    assert low <= float(image.min())
    assert float(image.max()) <= high
    assert float(scalar_map(torch.logspace(-8, 0, 4001), method.coefficients).min()) > 0


@pytest.mark.parametrize("exponent", [-30, -8, 8, 30])
def test_scaling_the_input_changes_nothing(exponent):
    x = random(4, 3)
    for kernel in (polar_svd, lambda y: polar_newton_schulz(y, nd.jordan().coefficients, DOUBLE)):
        torch.testing.assert_close(kernel(x * 10.0**exponent), kernel(x))


def test_newton_schulz_of_zero_is_zero():
    assert polar_newton_schulz(DEGENERATE["zero"], nd.jordan().coefficients, DOUBLE).norm() == 0
