"""Entrywise kernels and Schatten norms."""

import math

import torch

from normdsl.compiler.kernels.entrywise import reciprocal, schatten_norm


def test_reciprocal_is_zero_at_zero_and_has_a_finite_gradient_there():
    x = torch.tensor([0.0, 2.0, -4.0], requires_grad=True)
    y = reciprocal(x)
    assert y.tolist() == [0.0, 0.5, -0.25]
    y.sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_schatten_norms_are_norms_of_singular_values():
    x = torch.diag(torch.tensor([3.0, 4.0])).expand(2, 2, 2)
    assert schatten_norm(x, 1.0).flatten().tolist() == [7.0, 7.0]
    assert schatten_norm(x, math.inf).flatten().tolist() == [4.0, 4.0]
    assert schatten_norm(x, 2.0).flatten().tolist() == [5.0, 5.0]
