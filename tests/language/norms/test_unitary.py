"""Unitarily invariant norms."""

import norms_catalogue
import pytest
import torch
from norms_catalogue import INF
from properties import Probe, member, random_matrix, refuses

import normdsl as nd
from normdsl.expressions.matrix_classes import ORTHOGONAL
from normdsl.norms import Unitary

NORMS = norms_catalogue.of(Unitary)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_spectral_agrees_with_torch(shape):
    x = random_matrix(*shape)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    probe = Probe(nd.spectral)
    torch.testing.assert_close(probe.value(x), s[0])
    torch.testing.assert_close(probe.dual(x), s.sum())
    torch.testing.assert_close(probe.lmo(x), -u @ vh)
    torch.testing.assert_close(probe.sharp(x), s.sum() * u @ vh)


@pytest.mark.parametrize("p", [1, 1.5, 3, INF])
def test_schatten_norms_agree_with_torch(p):
    x = random_matrix(3, 5)
    s = torch.linalg.svdvals(x)
    torch.testing.assert_close(Probe(nd.schatten(p)).value(x), torch.linalg.vector_norm(s, p))


def test_ky_fan_norms_sum_the_largest_singular_values():
    x = random_matrix(3, 5)
    s = torch.linalg.svdvals(x)
    for k in (1, 2, 3, 9):
        torch.testing.assert_close(Probe(nd.ky_fan(k)).value(x), s[:k].sum())


def test_the_dual_of_ky_fan_steps_by_the_truncated_polar_factor():
    x = random_matrix(4, 5)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    found = Probe(nd.ky_fan(2).dual_norm).lmo(x)
    torch.testing.assert_close(found, -u[:, :2] @ vh[:2])


def test_ky_fan_steps_along_both_vertices_where_they_tie():
    """σ₁ = Σ σ / k: neither the first direction nor the polar factor may be preferred."""
    x = torch.diag(torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64))
    found = Probe(nd.ky_fan(2)).lmo(x).diagonal()
    torch.testing.assert_close(found, torch.tensor([-0.75, -0.25, -0.25], dtype=torch.float64))


def test_equal_singular_values_share_the_step():
    P, Q = member(ORTHOGONAL, 4, 1), member(ORTHOGONAL, 4, 2)
    values = torch.tensor([3.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    shared = torch.diag(torch.tensor([-0.5, -0.5, 0.0, 0.0], dtype=torch.float64))
    found = Probe(nd.nuclear).lmo(P @ torch.diag(values) @ Q)
    torch.testing.assert_close(found, P @ shared @ Q)


def test_singular_values_that_differ_are_told_apart():
    x = torch.diag(torch.tensor([1.0, 1.0 - 1e-12], dtype=torch.float64))
    expected = torch.diag(torch.tensor([-1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(Probe(nd.nuclear).lmo(x), expected)


def test_entry_permutations_are_no_isometries():
    """The trivial class on entries is not a modest claim: exchanging two entries is refuted."""
    x = torch.eye(2, dtype=torch.float64)
    swapped = x.ravel()[[0, 3, 1, 2]].view(2, 2)
    for name, norm in NORMS.items():
        probe = Probe(norm)
        assert not torch.isclose(probe.value(x), probe.value(swapped)) or name == "ky_fan dual"


def test_the_named_norms_are_gauges_of_singular_values():
    assert nd.schatten(2) == nd.frobenius
    assert nd.schatten(INF) == nd.spectral == nd.nuclear.dual_norm
    assert nd.schatten(1) == nd.nuclear
    assert nd.ky_fan(2).dual_norm.dual_norm == nd.ky_fan(2)


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", None])
def test_a_number_of_values_that_is_none_is_refused(k):
    with refuses(nd.DeclarationError, "whole number"):
        nd.ky_fan(k)


def test_is_shown():
    assert str(nd.spectral) == "‖X‖₂"
    assert str(nd.nuclear) == "‖X‖_*"
    assert str(nd.schatten(1.5)) == "‖X‖_S3/2"
    assert str(nd.ky_fan(2)) == "‖X‖_KF2"
    assert r"\left\|X\right\|_{2}" in nd.spectral._repr_latex_()
