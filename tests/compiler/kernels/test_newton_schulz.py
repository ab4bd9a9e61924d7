"""Polynomial iterations: their scalar maps, signs, degenerate input, scale, low precision."""

import inspect
import math

import attrs
import pytest
import torch
from pairwise import pairwise
from spectra import DOUBLE, SHAPES, response, scalar_map, spectra, with_values

import normdsl as nd
from normdsl.compiler.kernels import newton_schulz
from normdsl.compiler.kernels.newton_schulz import polar_newton_schulz, polar_turbo, unit_wide
from normdsl.compiler.kernels.polar import polar_svd

SEQUENCES = {
    "jordan": nd.jordan(),
    "jordan 10": nd.jordan(10),
    "quintic": nd.quintic(),
    "cans": nd.cans(),
    "express 5": nd.polar_express(5),
    "express 8": nd.polar_express(8),
}
METHODS = {
    **SEQUENCES,
    **{f"{name} on gram": method.on_gram() for name, method in SEQUENCES.items()},
    "express, never anew": nd.polar_express(5).on_gram(5),
    "turbo": nd.Turbo(),
}
OLD_AOL = (
    (4.0098, -7.0585, 2.4635),
    (3.4585, -5.5479, 2.5959),
    (2.7573, -3.2939, 1.4254),
    (2.7215, -3.0494, 1.3169),
)


def run(method, x, dtype=None):
    """Apply a method's kernel, as the emitted code does."""
    kernel = getattr(newton_schulz, method.kernels["polar"])
    names = list(inspect.signature(kernel).parameters)[1:]
    given = {k: v for k, v in attrs.asdict(method, recurse=False).items() if k in names}
    return kernel(x, **{**given, "dtype": dtype or x.dtype})


def aol(x):
    """Return diag(1/s) x on the short side, row by row."""
    y = x.mT if x.shape[0] > x.shape[1] else x
    sums = (y @ y.mT).abs().sum(1).sqrt()
    y = y / torch.where(sums == 0, 1.0, sums)[:, None]
    return y.mT if x.shape[0] > x.shape[1] else y


def scaled(method, x):
    return aol(x) if isinstance(method, nd.Turbo) else x / x.norm()


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("method", "shape", "name"), pairwise(METHODS, SHAPES, ["random", *spectra(4)])
)
def test_it_is_the_scalar_map_on_singular_values(method, shape, name):
    method = METHODS[method]
    values = spectra(min(shape)).get(name)
    x = random(*shape) if values is None else with_values(values, *shape)
    u, s, vh = torch.linalg.svd(scaled(method, x), full_matrices=False)
    expected = (u * scalar_map(s, method.coefficients)) @ vh
    torch.testing.assert_close(run(method, x), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("method", "shape", "name"), pairwise(METHODS, SHAPES, spectra(4)))
def test_no_singular_direction_is_flipped_and_all_end_in_the_band(method, shape, name):
    method = METHODS[method]
    x = with_values(spectra(min(shape))[name], *shape)
    values = torch.linalg.svdvals(scaled(method, x))
    low, high = method.band(float(values[-1]) * (1 - 1e-9))
    u, _, vh = torch.linalg.svd(scaled(method, x), full_matrices=False)
    got = (u.mT @ run(method, x) @ vh.mT).diagonal()
    assert got.min() > 0
    assert low - 1e-6 <= got.min()
    assert got.max() <= high + 1e-6


def test_the_old_coefficients_are_caught_by_the_sign_of_the_response():
    """The kernel takes any numbers; the method that carries them cannot be built."""
    dominant = with_values(spectra(8)["dominant"], 8, 12)
    flipped = response(polar_newton_schulz(dominant, OLD_AOL, DOUBLE))
    assert flipped[0] < -0.9
    assert response(run(nd.jordan(), dominant))[0] > 0.6


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_zero_and_rank_one_are_finite(method):
    assert run(method, torch.zeros(2, 4, 3, dtype=DOUBLE)).norm() == 0
    one = random(4, 1) @ random(1, 6)
    y = run(method, one)
    assert torch.isfinite(y).all()
    assert (y * one).sum() / one.norm() > 0.6


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 3, 4), (2, 3, 4, 6)])
def test_a_batch_is_a_loop(method, shape):
    x = random(*shape)
    loop = torch.stack([run(method, y) for y in x.flatten(0, -3)]).reshape(shape)
    torch.testing.assert_close(run(method, x), loop, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "dtype", "factor"), pairwise(METHODS, [torch.float32, DOUBLE], [1e-20, 1e20])
)
def test_scaling_the_input_changes_nothing(method, dtype, factor):
    method = METHODS[method]
    x = random(4, 6).to(dtype)
    near = 1e-3 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(run(method, x * factor), run(method, x), rtol=near, atol=near)


def error(method, x, dtype):
    """Return the spectral norm of what rounding did to the result."""
    u, s, vh = torch.linalg.svd(scaled(method, x), full_matrices=False)
    exact = (u * scalar_map(s, method.coefficients)) @ vh
    off = run(method, x.float(), dtype).double() - exact
    return torch.linalg.matrix_norm(off, 2).item() if torch.isfinite(off).all() else math.inf


LOW = {
    "jordan": nd.jordan(dtype="bfloat16"),
    "quintic": nd.quintic("bfloat16"),
    "express 5": nd.polar_express(5, "bfloat16"),
    "express 8": nd.polar_express(8, "bfloat16"),
    "cans": nd.cans("bfloat16"),
}
LOW |= {f"{name} on gram": method.on_gram() for name, method in LOW.items()}


@pytest.mark.parametrize("method", LOW.values(), ids=LOW.keys())
@pytest.mark.parametrize("name", spectra(4))
def test_half_precision_flips_nothing_and_stays_bounded(method, name):
    x = with_values(spectra(64)[name], 64, 256)
    for dtype, bound in ((torch.bfloat16, 0.75), (torch.float16, 0.2)):
        got = run(method, x.float(), dtype)
        assert got.dtype == torch.float32
        exact = scalar_map(spectra(64)[name] / x.norm(), method.coefficients)
        assert (response(got) / exact).min() > 0.5
        assert error(method, x, dtype) < bound


def test_without_a_safety_factor_half_precision_leaves_the_band():
    x = random(64, 256)
    assert error(nd.cans("bfloat16"), x, torch.bfloat16) < 0.3
    assert not error(nd.cans("bfloat16", safety=1), x, torch.bfloat16) < 0.6


@pytest.mark.parametrize("name", ["dominant", "geometric"])
def test_a_gram_matrix_carried_along_too_long_is_unstable(name):
    x = with_values(spectra(64)[name], 64, 256)
    method = nd.polar_express(5, "bfloat16")
    for dtype, plain in ((torch.float32, 1e-4), (torch.float16, 0.1)):
        assert error(method.on_gram(2), x, dtype) < plain
        assert not error(method.on_gram(5), x, dtype) < 8 * plain


def test_turbo_is_the_polar_factor_of_other_rows():
    long = nd.Turbo((*nd.Turbo().coefficients, *((1.875, -1.25, 0.375),) * 12))
    x = random(16, 32) * torch.exp(random(16, 1, seed=1))
    limit = run(long, x)
    torch.testing.assert_close(limit, polar_svd(aol(x)), rtol=1e-6, atol=1e-6)
    off = (limit - polar_svd(x)).norm() / polar_svd(x).norm()
    assert 0.05 < off < 0.5
    assert torch.linalg.matrix_norm(aol(x), 2) <= 1


def test_turbo_leaves_rows_of_zeros_alone():
    x = random(4, 6)
    x[1] = 0
    y = polar_turbo(x, nd.Turbo().coefficients, DOUBLE)
    assert torch.isfinite(y).all()
    assert y[1].norm() == 0


@pytest.mark.parametrize("name", ["express 5", "express 5 on gram", "turbo"])
def test_it_is_captured_in_one_graph(name):
    method, x = METHODS[name], random(2, 4, 3)
    kernel = getattr(newton_schulz, method.kernels["polar"])
    rest = (2,) if isinstance(method, nd.GramNewtonSchulz) else ()
    captured = torch.compile(kernel, backend="eager", fullgraph=True)
    got = captured(x, method.coefficients, DOUBLE, *rest)
    torch.testing.assert_close(got, run(method, x))


def test_the_norm_is_right_to_rounding_also_for_large_matrices():
    """A sum of all squares at once is 2e-4 too small here, where the polynomials explode."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2048, 1, generator=draw) @ torch.randn(1, 2048, generator=draw)
    assert abs(unit_wide(x).double().norm() - 1) < 1e-6
    assert abs(unit_wide(x[None].mT).double().norm() - 1) < 1e-6
