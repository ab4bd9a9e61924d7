"""The Frobenius norm."""

import pytest
import torch
from properties import NORM_PROPERTIES, Probe, assert_isometries, random_matrix

import normdsl as nd


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
def test_is_a_norm_with_its_operators(holds):
    holds(nd.frobenius)


def test_has_its_isometries():
    assert_isometries(nd.frobenius)


def test_agrees_with_torch():
    x = random_matrix(3, 5)
    norm = torch.linalg.matrix_norm(x)
    probe = Probe(nd.frobenius)
    torch.testing.assert_close(probe.value(x), norm)
    torch.testing.assert_close(probe.dual(x), norm)
    torch.testing.assert_close(probe.lmo(x), -x / norm)
    torch.testing.assert_close(probe.sharp(x), x)


def test_sharp_is_the_argument_itself():
    assert nd.frobenius.sharp(nd.G).definition == nd.G


def test_is_shown():
    assert str(nd.frobenius) == "‖X‖_F"
    assert r"\left\|X\right\|_{\mathrm{F}}" in nd.frobenius._repr_latex_()
