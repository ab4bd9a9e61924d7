"""Sums with products: numbers that are read, and what is left out for them."""

import pytest
import torch

from normdsl.compiler.kernels.sums import plus_product, plus_symmetric

KERNELS = pytest.mark.parametrize("kernel", [plus_product, plus_symmetric])


def operands(size=300):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, size, 40, generator=draw)
    return x @ x.mT, x


@KERNELS
def test_of_alpha_zero_there_is_no_product(kernel):
    base, x = operands()
    new = kernel(base, torch.full_like(x, torch.nan), x.mT, alpha=torch.tensor(0.0))
    torch.testing.assert_close(new, base, rtol=0, atol=0)
    assert new.data_ptr() != base.data_ptr()


@KERNELS
@pytest.mark.parametrize("shape", [(), (1, 1, 1), (2, 1, 1)])
def test_a_number_in_a_tensor_is_what_it_is_beside_it(kernel, shape):
    base, x = operands()
    told = [torch.full(shape, number) for number in (0.9, 0.25)]
    expected = kernel(base, x, x.mT, 0.9, 0.25)
    torch.testing.assert_close(kernel(base, x, x.mT, *told), expected)


@KERNELS
def test_a_number_that_is_asked_for_its_derivative_stays_a_tensor(kernel):
    base, x = operands()
    alpha = torch.tensor(0.5, requires_grad=True)
    kernel(base, x, x.mT, alpha=alpha).sum().backward()
    torch.testing.assert_close(alpha.grad, (x @ x.mT).sum())
    slope = torch.func.grad(lambda a: kernel(base, x, x.mT, alpha=a).sum())(torch.tensor(0.5))
    torch.testing.assert_close(slope, (x @ x.mT).sum())
