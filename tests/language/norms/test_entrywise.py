"""Norms of the entries."""

import norms_catalogue
import pytest
import torch
from norms_catalogue import INF
from properties import Probe, random_matrix, refuses

import normdsl as nd
from normdsl.norms import Entrywise

NORMS = norms_catalogue.of(Entrywise)


@pytest.mark.parametrize("p", [1, 4 / 3, 2, 3, 10, INF])
def test_agrees_with_torch(p):
    x, norm = random_matrix(3, 5), Probe(nd.entrywise(p))
    torch.testing.assert_close(norm.value(x), torch.linalg.vector_norm(x, p))
    q = INF if p == 1 else 1.0 if p == INF else p / (p - 1)
    torch.testing.assert_close(norm.dual(x), torch.linalg.vector_norm(x, q))


def test_frobenius_steps():
    x, probe = random_matrix(3, 5), Probe(nd.frobenius)
    torch.testing.assert_close(probe.lmo(x), -x / x.norm())
    torch.testing.assert_close(probe.sharp(x), x)
    assert nd.frobenius.sharp(nd.G).definition == nd.G


def test_the_named_norms_are_gauges_of_entries():
    assert nd.entrywise(2) == nd.frobenius
    assert nd.entrywise(INF) == nd.max_entry
    assert nd.entrywise(1) == nd.sum_entries == nd.max_entry.dual_norm


def test_zero_entries_do_not_move():
    x = torch.tensor([[2.0, 0.0], [0.0, -3.0]], dtype=torch.float64)
    expected = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert torch.equal(Probe(nd.max_entry).lmo(x), expected)


def test_ties_share_the_step():
    """A choice among equal entries would not follow a permutation of them."""
    x = torch.tensor([[2.0, -2.0], [1.0, 2.0]], dtype=torch.float64)
    expected = torch.tensor([[-1.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(Probe(nd.sum_entries).lmo(x), expected / 3)
    torch.testing.assert_close(Probe(nd.top_entries(2).dual_norm).lmo(x), expected * 2 / 3)


def test_the_sum_of_more_entries_than_there_are_is_l1():
    x = random_matrix(2, 3)
    assert torch.isclose(Probe(nd.top_entries(7)).value(x), x.abs().sum())
    torch.testing.assert_close(Probe(nd.top_entries(7).dual_norm).lmo(x), -x.sign())


@pytest.mark.parametrize("p", [0, 0.5, -1, float("nan"), "2", None])
def test_exponents_below_one_are_refused(p):
    with refuses(nd.DeclarationError, "p ≥ 1"):
        nd.entrywise(p)


def test_is_shown():
    shown = {name: str(x) for name, x in NORMS.items()}
    assert shown["frobenius"] == "‖X‖_F"
    assert shown["max_entry"] == "‖X‖∞"
    assert shown["l4/3"] == "‖X‖_ℓ4/3"
    assert shown["top_entries dual"] == "‖X‖_top3*"
    assert r"\left\|X\right\|_{\mathrm{F}}" in nd.frobenius._repr_latex_()
    assert r"\left\|X\right\|_{\infty}" in nd.max_entry._repr_latex_()
