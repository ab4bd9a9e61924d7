"""Norms of rows and of columns, and the operator norms that are such."""

import norms_catalogue
import pytest
import torch
from norms_catalogue import INF, MOST, ONE, TWO
from properties import Probe, random_matrix, refuses

import normdsl as nd
from normdsl.norms import Lines, operator_norm

NORMS = norms_catalogue.of(Lines)


def test_rows_are_the_columns_of_the_transpose():
    x = random_matrix(3, 5)
    for inner, outer in ((TWO, MOST), (TWO, ONE), (nd.lp(3), TWO)):
        rows, cols = Probe(nd.row_norm(inner, outer)), Probe(nd.column_norm(inner, outer))
        torch.testing.assert_close(rows.value(x), cols.value(x.mT))
        torch.testing.assert_close(rows.lmo(x), cols.lmo(x.mT).mT)


def test_the_maximum_of_columns_normalises_each():
    x = random_matrix(3, 5)
    probe = Probe(operator_norm(1, 2))
    torch.testing.assert_close(probe.lmo(x), -x / x.norm(dim=0))
    torch.testing.assert_close(probe.value(x), x.norm(dim=0).max())
    torch.testing.assert_close(probe.dual(x), x.norm(dim=0).sum())


def test_the_sum_of_rows_moves_the_longest_alone():
    x = random_matrix(3, 5)
    longest = x.norm(dim=1).argmax()
    expected = torch.zeros_like(x)
    expected[longest] = -x[longest] / x[longest].norm()
    torch.testing.assert_close(Probe(nd.row_norm(TWO, ONE)).lmo(x), expected)


def test_a_line_of_zeros_does_not_move():
    x = random_matrix(3, 5)
    x[1] = 0
    assert not Probe(operator_norm(2, INF)).lmo(x)[1].any()


@pytest.mark.parametrize("p", [1, 2, INF])
def test_operator_norms_agree_with_numpy(p):
    x = random_matrix(3, 5)
    expected = torch.linalg.matrix_norm(x, {1: 1, 2: 2, INF: INF}[p])
    torch.testing.assert_close(Probe(operator_norm(p, p)).value(x), expected)


@pytest.mark.parametrize(("p", "q"), [(1, 2), (2, INF), (1, 3), (3, INF), (1, INF), (2, 2)])
def test_no_vector_is_stretched_further_than_by_the_operator_norm(p, q):
    x, norm = random_matrix(3, 5), operator_norm(p, q)
    v = random_matrix(5, 1000, 3)
    stretched = torch.linalg.vector_norm(x @ v, q, dim=0)
    ratio = (stretched / torch.linalg.vector_norm(v, p, dim=0)).max()
    assert ratio <= Probe(norm).value(x) * (1 + 1e-12)
    assert ratio >= 0.7 * Probe(norm).value(x)


@pytest.mark.parametrize(("p", "q"), [(2, 1), (INF, 2), (INF, 1), (3, 3), (3, 2)])
def test_operator_norms_that_are_hard_are_refused(p, q):
    with refuses(nd.DeclarationError, "NP-hard", "1→q, p→∞ or 2→2"):
        operator_norm(p, q)


def test_two_round_gauges_are_the_frobenius_norm():
    x = random_matrix(3, 5)
    for norm in (nd.row_norm(TWO, TWO), nd.column_norm(TWO, TWO)):
        torch.testing.assert_close(Probe(norm).value(x), x.norm())
        torch.testing.assert_close(Probe(norm).lmo(x), -x / x.norm())


def test_rotations_within_columns_are_isometries_for_round_ones_only():
    assert NORMS["1→2"].isometries.rows.name == "orthogonal"
    assert NORMS["1→2"].isometries.cols.name == "signed permutation"
    assert NORMS["2→∞"].isometries.cols.name == "orthogonal"
    assert NORMS["1→3"].isometries.rows.name == "signed permutation"


def test_is_shown():
    assert str(NORMS["1→2"]) == "‖X‖_1→2"
    assert str(NORMS["3→∞"]) == "‖X‖_3→∞"
    assert str(NORMS["sum of rows"]) == "‖X‖_rows 2,1"
    assert r"\left\|X\right\|" in NORMS["1→2"]._repr_latex_()
