"""Powers, eigenvectors and pseudo-inverses."""

import pytest
import torch

from normdsl.compiler.kernels.symmetric import (
    cholesky_factor,
    pseudo_inverse,
    sorted_eigenvalues,
    sorted_eigenvectors,
    symmetric_power,
)


def gram(rank, size=4):
    x = torch.randn(size, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x @ x.mT


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("p", [-1.0, -0.5, -0.25, 0.25, 0.5, 2.0])
def test_powers_add_up_on_the_range(rank, p):
    s = gram(rank)
    projector = symmetric_power(s, 0.5) @ symmetric_power(s, -0.5)
    torch.testing.assert_close(projector @ projector, projector)
    torch.testing.assert_close(symmetric_power(s, p) @ symmetric_power(s, -p), projector)
    torch.testing.assert_close(symmetric_power(s, 1.0), s)


@pytest.mark.parametrize("p", [0, 0.0, torch.tensor(0.0, dtype=torch.float64)], ids=str)
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_the_power_zero_is_the_identity_whatever_the_rank(rank, p):
    torch.testing.assert_close(symmetric_power(gram(rank), p), torch.eye(4, dtype=torch.float64))


def test_zero_to_any_other_power_is_zero():
    zero = torch.zeros(2, 3, 3)
    for p in (-1.0, -0.5, 0.5):
        assert symmetric_power(zero, p).norm() == 0


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_the_rank_cut_is_relative(factor):
    s = gram(2)
    torch.testing.assert_close(symmetric_power(s * factor, -1.0) * factor, symmetric_power(s, -1.0))


def test_eigenvectors_are_sorted_and_orthonormal():
    s = gram(4)
    q = sorted_eigenvectors(s)
    values = torch.diagonal(q.mT @ s @ q)
    torch.testing.assert_close(sorted_eigenvalues(s), values.unsqueeze(-1))
    assert bool((values[:-1] >= values[1:]).all())
    torch.testing.assert_close(q.mT @ q, torch.eye(4, dtype=torch.float64))


def test_pseudo_inverse_inverts():
    x = gram(4) + torch.triu(torch.ones(4, 4, dtype=torch.float64))
    torch.testing.assert_close(pseudo_inverse(x) @ x, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_cholesky_factor_is_a_triangular_root_also_of_singular_matrices(rank):
    x = torch.randn(3, 4, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))
    s = x @ x.mT
    c = cholesky_factor(s)
    torch.testing.assert_close(c @ c.mT, s)
    torch.testing.assert_close(c, c.tril())
    assert (c.diagonal(dim1=-2, dim2=-1) >= 0).all()
    if rank == 4:
        torch.testing.assert_close(c, torch.linalg.cholesky(s))
