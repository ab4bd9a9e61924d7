"""The largest absolute entry."""

import pytest
import torch
from properties import NORM_PROPERTIES, Probe, assert_isometries, random_matrix

import normdsl as nd


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
def test_is_a_norm_with_its_operators(holds):
    holds(nd.max_entry)


def test_has_its_isometries():
    assert_isometries(nd.max_entry)


def test_agrees_with_torch():
    x = random_matrix(3, 5)
    probe = Probe(nd.max_entry)
    assert probe.value(x) == x.abs().max()
    torch.testing.assert_close(probe.dual(x), x.abs().sum())
    assert torch.equal(probe.lmo(x), -x.sign())


def test_zero_entries_do_not_move():
    x = torch.tensor([[2.0, 0.0], [0.0, -3.0]], dtype=torch.float64)
    expected = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert torch.equal(Probe(nd.max_entry).lmo(x), expected)


def test_is_shown():
    assert str(nd.max_entry) == "‖X‖∞"
    assert r"\left\|X\right\|_{\infty}" in nd.max_entry._repr_latex_()
