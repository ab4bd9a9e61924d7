"""Polar factors by factorisations: the partial isometry on every shape, rank and scale."""

import pytest
import torch
from spectra import DOUBLE, SHAPES, response, spectra, with_values

from normdsl.compiler.kernels.polar import polar_gram, polar_qr, polar_svd

KERNELS = (polar_svd, polar_qr, polar_gram)
DEGENERATE = {
    "zero": torch.zeros(3, 4, dtype=DOUBLE),
    "rank one": torch.ones(3, 4, dtype=DOUBLE),
    "tall rank one": torch.ones(7, 4, dtype=DOUBLE),
    "rank two": with_values(torch.tensor([1.0, 0.5, 0, 0, 0, 0]).double(), 6, 9),
    "tall rank two": with_values(torch.tensor([1.0, 0.5, 0, 0, 0, 0]).double(), 9, 6),
    "repeated": torch.eye(3, 4, dtype=DOUBLE),
    "row": torch.arange(1.0, 5.0, dtype=DOUBLE).reshape(1, 4),
    "column": torch.arange(1.0, 5.0, dtype=DOUBLE).reshape(4, 1),
}


@pytest.fixture(params=KERNELS, ids=lambda k: k.__name__)
def kernel(request):
    return request.param


def random(*shape):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("x", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_it_is_the_partial_isometry(kernel, x):
    q = kernel(x)
    values = torch.linalg.svdvals(q)
    rank = int(torch.linalg.matrix_rank(x))
    expected = torch.cat([torch.ones(rank), torch.zeros(len(values) - rank)]).double()
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close((q * x).sum(), torch.linalg.svdvals(x).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", spectra(4))
def test_every_singular_value_becomes_one(kernel, shape, name):
    values = spectra(min(shape))[name]
    got = response(kernel(with_values(values, *shape)))
    torch.testing.assert_close(got, torch.ones_like(got), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 3, 4), (2, 3, 4, 6)])
def test_a_batch_is_a_loop(kernel, shape):
    x = random(*shape)
    loop = torch.stack([kernel(y) for y in x.flatten(0, -3)]).reshape(shape)
    torch.testing.assert_close(kernel(x), loop)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_scaling_the_input_changes_nothing(kernel, factor, dtype):
    x = random(4, 3).to(dtype)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype != DOUBLE else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(kernel(x * factor), kernel(x), **close)


def test_the_gram_matrix_loses_what_is_below_the_root_of_the_precision():
    values = torch.tensor([1.0, 1e-3, 1e-9], dtype=DOUBLE)
    x = with_values(values, 3, 5)
    torch.testing.assert_close(response(polar_gram(x)), torch.tensor([1.0, 1.0, 0.0]).double())
    for exact in (polar_svd, polar_qr):
        torch.testing.assert_close(response(exact(x)), torch.ones(3).double())


def test_it_is_captured_in_one_graph(kernel):
    x = random(2, 4, 3)
    captured = torch.compile(kernel, backend="eager", fullgraph=True)
    torch.testing.assert_close(captured(x), kernel(x))
