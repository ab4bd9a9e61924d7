"""Polar factors as chains: the identity, its error, and which methods are one."""

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.kernels.automatic import polar_way
from normdsl.compiler.lowering.chains import chain, chained
from normdsl.compiler.lowering.program import load, lower
from normdsl.compiler.lowering.source import write

POLAR = nd.optimizer(lambda lr=1.0: W + lr * nd.spectral.lmo(G))
BOTH = nd.optimizer(
    lambda lr=1.0: W + lr * nd.spectral.lmo(G) @ nd.polar(G.T @ G) + nd.polar(G.T).T
)
METHODS = {
    "jordan": nd.jordan(),
    "express": nd.polar_express(),
    "gram": nd.polar_express().on_gram(),
    "gram3": nd.polar_express(7).on_gram(3),
    "automatic": nd.Automatic(),
}
SIZES = [(24, 96), (96, 24), (40, 40), (260, 520)]


def drawn(size, lowest, dtype=torch.float64):
    """Return a matrix with singular values from 1 down to `lowest`."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *size, generator=generator, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return ((u * torch.logspace(0, lowest, s.shape[-1], dtype=torch.float64)) @ vh).to(dtype)


def stepped(step, x, rule=POLAR):
    return step(torch.zeros_like(x), x, t=torch.ones(()), **rule.defaults)[0]


def both(rule, method, x):
    """Return the step of a program, and of the chain that it is."""
    program = lower(rule, nd.Schedule(polar=method))
    size = tuple(x.shape[-2:])
    other = chained(program, size, "cpu", x.dtype == torch.float64)
    assert other is not None
    return (stepped(f, x, rule) for f in (program.step, load("chain", write(other))["step"]))


@pytest.mark.parametrize("size", SIZES[:3])
@pytest.mark.parametrize("name", [x for x in METHODS if x != "automatic"])
def test_a_chain_is_its_method_in_exact_arithmetic(name, size):
    expected, found = both(POLAR, METHODS[name], drawn(size, -3))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", METHODS)
def test_its_error_in_float32_is_that_of_its_kernel(name, size):
    """Within three times, of singular values down to what the method covers."""
    x = drawn(size, -2)
    method = METHODS[name]
    if name == "automatic" and polar_way("cpu", False, *size) == "halley":
        pytest.skip("no chain")
    kernel, found = both(POLAR, method, x.float())
    exact = lower(POLAR, nd.Schedule(polar=nd.SVD() if name == "automatic" else method))
    expected = stepped(exact.step, x)
    off = [torch.linalg.matrix_norm(y.double() - expected, 2).item() for y in (found, kernel)]
    assert off[0] < max(3 * off[1], 1e-5)
    assert off[0] < 1e-4 or name == "automatic"  # which says itself how far it is


@pytest.mark.parametrize("scale", [1e-30, 1e30, 0.0])
def test_a_chain_has_no_scale(scale):
    x = drawn((24, 96), -1, torch.float32)
    _, plain = both(POLAR, nd.jordan(), x)
    _, scaled = both(POLAR, nd.jordan(), x * scale)
    torch.testing.assert_close(scaled, plain if scale else 0 * plain, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(5, 9), (9, 5)])
def test_transposed_and_several_factors_are_chains_and_statistics_are_not(size):
    expected, found = both(BOTH, nd.jordan(8), drawn(size, 0))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    program = lower(BOTH, nd.Schedule(polar=nd.jordan(8)))
    other = chained(program, size, "cpu", True)
    assert {"A1", "A1_2"} < set(other.names.values())


def test_dtypes_of_products_are_those_of_the_method():
    x = drawn((24, 96), -1, torch.float32)
    half = nd.polar_express(5, "bfloat16").on_gram()
    kernel, found = both(POLAR, half, x)
    assert found.dtype == torch.float32
    assert torch.equal(found, found.bfloat16().float())
    _, fine = both(POLAR, nd.GramNewtonSchulz(half.coefficients), x)
    off = [(y - fine).abs().max().item() for y in (found, kernel)]
    assert 1e-4 < off[0] < 3 * off[1]


@pytest.mark.parametrize("method", [nd.SVD(), nd.QRSVD(), nd.Eigh(), nd.Turbo()])
def test_methods_that_are_no_chain(method):
    assert chain(method, (24, 96), "cpu", False) is None


def test_automatic_is_a_chain_where_it_is_one():
    """Not in float64, and not Halley's steps, whose first Gram matrix is in float64."""
    links = {
        size: chain(nd.Automatic(), size, "cpu", False) for size in [(300, 900), (300, 400), (9, 4)]
    }
    assert len(links[300, 900].links) == len(links[9, 4].links) == 2
    assert links[300, 400] is None
    assert chain(nd.Automatic(), (300, 900), "cpu", True) is None
    assert len(chain(nd.Automatic(), (300, 400), "xpu", False).links) == 4


def test_a_rule_without_polar_factors_has_no_chain():
    program = lower(nd.algorithms.adamw, nd.Schedule(polar=nd.jordan()))
    assert chained(program, (8, 9), "cpu", False) is None
