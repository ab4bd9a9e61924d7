"""Norms of tensors: what is computed, and what is refused."""

import pytest
import torch
from norms_catalogue import PLAIN
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G


@pytest.mark.parametrize("name", list(PLAIN)[::5])
@pytest.mark.parametrize("function", ["value", "dual", "lmo", "sharp"])
def test_the_values_are_those_of_a_step(name, function):
    norm, x = PLAIN[name], random_matrix(3, 4)
    asked = getattr(norm, function)
    torch.testing.assert_close(
        asked(x) + torch.zeros_like(x), evaluate(asked(G), x), rtol=1e-12, atol=1e-12
    )


def test_axes_in_front_are_a_batch_and_the_dtype_is_kept():
    x = torch.randn(5, 2, 3, 4)
    torch.testing.assert_close(nd.nuclear.value(x), torch.linalg.matrix_norm(x, "nuc"))
    assert nd.spectral.lmo(x).shape == x.shape
    assert nd.spectral.value(x.bfloat16()).dtype == torch.bfloat16


def test_a_norm_of_a_tensor_has_a_gradient():
    """That of the nuclear norm is the polar factor."""
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    nd.nuclear.value(x).backward()
    torch.testing.assert_close(x.grad, -nd.spectral.lmo(x.detach()))


REFUSED = {
    "a vector": (nd.ShapeError, nd.spectral, torch.ones(3)),
    "no entries": (nd.ShapeError, nd.spectral, torch.ones(0, 3)),
    "whole numbers": (nd.GradientError, nd.spectral, torch.ones(2, 2, dtype=torch.int64)),
    "all layers": (nd.DeclarationError, nd.over_layers(nd.spectral, nd.lp(2)), torch.ones(2, 2)),
    "a preconditioner of a step": (
        nd.DeclarationError,
        nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9))),
        torch.ones(2, 2),
    ),
}


@pytest.mark.parametrize(("kind", "norm", "x"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_value_is_refused(kind, norm, x):
    with refuses(kind, "compute"):
        norm.value(x)
