"""The spectral norm."""

import pytest
import torch
from properties import NORM_PROPERTIES, Probe, assert_isometries, random_matrix

import normdsl as nd


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
def test_is_a_norm_with_its_operators(holds):
    holds(nd.spectral)


def test_has_its_isometries():
    assert_isometries(nd.spectral)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_agrees_with_torch(shape):
    x = random_matrix(*shape)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    probe = Probe(nd.spectral)
    torch.testing.assert_close(probe.value(x), s[0])
    torch.testing.assert_close(probe.dual(x), s.sum())
    torch.testing.assert_close(probe.lmo(x), -u @ vh)
    torch.testing.assert_close(probe.sharp(x), s.sum() * u @ vh)


def test_entry_permutations_are_no_isometries():
    """The trivial class on entries is not a modest claim: exchanging two entries is refuted."""
    x = torch.eye(2, dtype=torch.float64)
    swapped = x.ravel()[[0, 3, 1, 2]].view(2, 2)
    probe = Probe(nd.spectral)
    assert not torch.isclose(probe.value(x), probe.value(swapped))


def test_is_shown():
    assert str(nd.spectral) == "‖X‖₂"
    assert r"\left\|X\right\|_{2}" in nd.spectral._repr_latex_()
