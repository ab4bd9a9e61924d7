"""Kernels that look at single entries."""

import math

import pytest
import torch

from normdsl.compiler.kernels.entrywise import (
    block_mean,
    kth_largest,
    length,
    one_minus_power,
    power,
    reciprocal,
)


def test_reciprocal_is_zero_at_zero_and_has_a_finite_gradient_there():
    x = torch.tensor([0.0, 2.0, -4.0], requires_grad=True)
    y = reciprocal(x)
    assert y.tolist() == [0.0, 0.5, -0.25]
    y.sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_length_neither_overflows_nor_vanishes():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    for c in (1e-30, 1.0, 1e30):
        torch.testing.assert_close(length(c * x, (-1,)) / c, torch.tensor([[5.0], [0.0]]))
        torch.testing.assert_close(length(c * x, (-2, -1)) / c, torch.tensor([[5.0]]))


def test_kth_largest_of_a_batch():
    x = torch.arange(24.0).reshape(2, 3, 4)
    assert kth_largest(x, 2, (-2, -1)).flatten().tolist() == [10, 22]
    assert kth_largest(x, 1, (-1,)).shape == (2, 3, 1)
    assert kth_largest(x, 3, (-2,))[1].tolist() == [[12, 13, 14, 15]]
    assert not kth_largest(x, 4, (-2,)).any()


def test_block_mean_of_a_batch_keeps_its_size():
    x = torch.arange(24.0).reshape(2, 3, 4)
    found = block_mean(x, 2, 2)
    assert found.shape == x.shape
    assert found[0, 0].tolist() == [2.5, 2.5, 4.5, 4.5]
    assert found[1, 2].tolist() == [20.5, 20.5, 22.5, 22.5]
    torch.testing.assert_close(found.sum((-2, -1)), x.sum((-2, -1)))


def test_block_mean_needs_no_square_matrix():
    """An embedding has rows enough for their square not to fit in memory."""
    x = torch.ones(1, 300_000, 1)
    assert torch.equal(block_mean(x, 64, 1), x)


@pytest.mark.parametrize("base", [0.0, 0.1, 0.5, 0.9, 0.999, 1 - 1e-7, 1.5])
def test_powers_of_the_step_index_have_all_digits_of_float32(base):
    t = torch.tensor([1.0, 2.0, 10.0, 60.0])
    exact = torch.tensor(base, dtype=torch.float64) ** t.double()
    gap = -torch.expm1(t.double() * math.log(base)) if base else 1 - exact
    for number in (base, torch.tensor(base, dtype=torch.float64)):
        torch.testing.assert_close(one_minus_power(number, t).double(), gap, rtol=2e-6, atol=0)
        torch.testing.assert_close(power(number, t).double(), exact, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("base", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("t", [1.0, 2.0, 7.0])
def test_powers_of_the_step_index_have_derivatives(base, t):
    for f, sign in ((power, 1), (one_minus_power, -1)):
        b = torch.tensor(base, dtype=torch.float64, requires_grad=True)
        f(b, torch.tensor([t], dtype=torch.float64)).sum().backward()
        assert float(b.grad) == pytest.approx(sign * t * base ** (t - 1), rel=1e-9)
