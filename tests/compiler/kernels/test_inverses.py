"""Inverses by halves are those of positive definite matrices, whatever their size."""

import pytest
import torch
from spectra import with_values

from normdsl.compiler.kernels.inverses import positive_inverse
from normdsl.compiler.kernels.products import symmetric_product


def positive(lowest, size):
    root = with_values(
        torch.logspace(0, torch.log10(torch.tensor(lowest)).item() / 2, size), size, size
    )
    return (root @ root.mT).unsqueeze(0)


@pytest.mark.parametrize("size", [1, 2, 96, 97, 193, 400])
@pytest.mark.parametrize("lowest", [1e-1, 1e-8])
def test_it_is_the_inverse(size, lowest):
    s = positive(lowest, size)
    found, expected = positive_inverse(s), torch.linalg.inv(s)
    error = torch.finfo(s.dtype).eps / lowest**1.5
    assert ((found - expected).norm() / expected.norm()).item() < error


def test_a_batch_is_each_of_its_matrices_and_what_is_given_stays():
    s = torch.cat([positive(1e-2, 200), positive(1e-4, 200)])
    before = s.clone()
    torch.testing.assert_close(
        positive_inverse(s), torch.cat([positive_inverse(x) for x in s.split(1)])
    )
    assert torch.equal(s, before)


@pytest.mark.parametrize("size", [255, 256, 258, 301])
def test_symmetric_products_by_blocks_are_those_formed_at_once(size):
    x = torch.randn(2, size, 64, dtype=torch.float64)
    base = x @ x.mT
    torch.testing.assert_close(symmetric_product(x, x.mT), base)
    found = symmetric_product(base, base, base, 2.0, -0.5)
    torch.testing.assert_close(found, 2 * base - 0.5 * base @ base)
