"""Gradients that every format holds exactly, and linear losses that hand them over bit for bit."""

import pytest
import torch

from normdsl.compiler.audit.streams import exact_normal, gradients, linear

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 16.0])
def test_every_format_holds_them(dtype, size):
    x = size * exact_normal((50, 50), (3,))
    assert torch.equal(x, x.to(dtype).double())
    assert 0.9 < float(x.std()) / size < 1.1
    assert bool(x.all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_of_the_linear_loss_is_the_stream(dtype):
    shapes = ((4, 5), (2, 2))
    stream = gradients(shapes, 1, 16.0)
    params = [torch.ones(s, dtype=dtype, requires_grad=True) for s in shapes]
    linear(stream)(params, 2).backward()
    for p, g in zip(params, stream(2), strict=True):
        assert torch.equal(p.grad.double(), g)


def test_steps_and_seeds_differ():
    first, second = gradients([(3, 3)], 0, 1.0), gradients([(3, 3)], 1, 1.0)
    assert torch.equal(first(0)[0], first(0)[0])
    assert not torch.equal(first(0)[0], first(1)[0])
    assert not torch.equal(first(0)[0], second(0)[0])
