"""Symmetric gauges, on vectors of numbers."""

import itertools

import pytest
import torch
from norms_catalogue import INF
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G
from normdsl.norms import Lp, Top, TopDual
from normdsl.norms.vectors import Entries

GAUGES = (nd.lp(1), nd.lp(1.5), nd.lp(2), nd.lp(3), nd.lp(INF), Top(2), TopDual(2), Top(1))
VECTORS = [
    random_matrix(1, 6),
    torch.tensor([[3.0, -3.0, 3.0, 1.0]], dtype=torch.float64),
    torch.tensor([[2.0, 1.0, -1.0, 0.0]], dtype=torch.float64),
    torch.zeros(1, 3, dtype=torch.float64),
]
everywhere = pytest.mark.parametrize("gauge", GAUGES, ids=str)


def value(gauge, x):
    return evaluate(gauge.value(Entries(G)), x)[0, 0]


def lmo(gauge, x):
    vector = Entries(G)
    return evaluate(vector.map(gauge.lmo(vector)), x)


@everywhere
def test_it_ignores_signs_and_order(gauge):
    for x in VECTORS:
        flipped = x.flip(-1) * torch.tensor([1.0, -1.0]).repeat(3)[: x.shape[-1]]
        torch.testing.assert_close(value(gauge, flipped), value(gauge, x))
        torch.testing.assert_close(lmo(gauge, x.flip(-1)), lmo(gauge, x).flip(-1))
        torch.testing.assert_close(lmo(gauge, -x), -lmo(gauge, x))


@everywhere
def test_the_lmo_attains_the_dual_on_the_unit_sphere(gauge):
    for x in VECTORS:
        step = lmo(gauge, x)
        torch.testing.assert_close((x * step).sum(), -value(gauge.dual, x))
        torch.testing.assert_close(value(gauge, step).item(), float(bool(x.any())))


@everywhere
def test_the_dual_of_the_dual_is_the_gauge(gauge):
    assert gauge.dual.dual == gauge
    assert gauge.round == (gauge == gauge.dual)


def test_sums_of_the_largest_are_what_they_say():
    for x, k in itertools.product(VECTORS, (1, 2, 3, 9)):
        sizes = x.abs().flatten().sort(descending=True).values
        torch.testing.assert_close(value(Top(k), x), sizes[:k].sum())
        dual = torch.maximum(sizes[0], sizes.sum() / k)
        torch.testing.assert_close(value(TopDual(k), x), dual)


def test_exponents_are_exact():
    assert nd.lp(3).dual == nd.lp(1.5)
    assert nd.lp(INF) == nd.lp(1).dual
    assert str(nd.lp(1.5)) == "3/2"
    assert {str(x) for x in (nd.lp(INF), Top(2), TopDual(2))} == {"∞", "top2", "top2*"}


@pytest.mark.parametrize("p", [0.99, 0, -1, float("nan"), "1", None])
def test_exponents_below_one_are_refused(p):
    with refuses(nd.DeclarationError, "p ≥ 1"):
        nd.lp(p)


@pytest.mark.parametrize("inverse", [-1, 2])
def test_inverse_exponents_outside_the_unit_interval_are_refused(inverse):
    with refuses(nd.DeclarationError, "p ≥ 1"):
        Lp(nd.expressions.nodes.constants.exact(inverse))


@pytest.mark.parametrize("kind", [Top, TopDual])
def test_a_number_of_entries_that_is_none_is_refused(kind):
    for k in (0, -2, 1.5, "2"):
        with refuses(nd.DeclarationError, "whole number"):
            kind(k)
