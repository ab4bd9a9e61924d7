"""Singular values and vectors of batches."""

import pytest
import torch

from normdsl.compiler.kernels.singular import singular_triple, singular_values


def batch(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 5, 3), (1, 1, 4)])
def test_the_parts_multiply_to_the_matrix(shape):
    x = batch(*shape)
    u, s, vh = singular_triple(x)
    torch.testing.assert_close(u @ (s * vh), x)
    torch.testing.assert_close(s, singular_values(x))
    assert s.shape == (shape[0], min(shape[1:]), 1)


def test_values_that_are_rounding_are_zero():
    x = batch(2, 4, 2) @ batch(2, 2, 5)
    s = singular_triple(x)[1]
    assert s[:, 1].min() > 0
    assert not s[:, 2:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeated_values_are_equal_and_others_are_not(dtype):
    q, r = (torch.linalg.qr(batch(6, 6).roll(k)).Q.to(dtype) for k in (0, 1))
    values = torch.tensor([3.0, 3.0, 2.0, 2.0, 2.0, 2.0 - 1e-4], dtype=dtype)
    s = singular_triple(q @ torch.diag(values) @ r)[1].flatten()
    assert s[0] == s[1] > s[2] == s[3] == s[4] > s[5]


def test_zero_and_empty_matrices_have_singular_values():
    assert not singular_triple(torch.zeros(2, 3, 4))[1].any()
    assert singular_triple(torch.zeros(2, 0, 4))[1].shape == (2, 0, 1)
