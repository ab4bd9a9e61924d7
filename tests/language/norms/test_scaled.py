"""Multiples of norms."""

import pytest
import torch
from properties import (
    Probe,
    evaluate,
    random_matrix,
    refuses,
)

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.domains import REAL
from normdsl.expressions.nodes import Param


def test_the_norms_of_root_mean_squares():
    x = random_matrix(3, 5)
    torch.testing.assert_close(Probe(nd.rms).value(x), x.square().mean().sqrt())
    largest = x.square().mean(0).sqrt().max()
    torch.testing.assert_close(Probe(nd.one_to_rms).value(x), largest)
    longest = 5**0.5 * x.norm(dim=1).max()
    torch.testing.assert_close(Probe(nd.rms_to_inf).value(x), longest)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    torch.testing.assert_close(Probe(nd.rms_to_rms).value(x), (5 / 3) ** 0.5 * s[0])
    torch.testing.assert_close(Probe(nd.rms_to_rms).lmo(x), -((3 / 5) ** 0.5) * u @ vh)
    torch.testing.assert_close(Probe(nd.scaled_max_entry).lmo(x), -x.sign() / 5)


def test_rms_to_rms_bounds_how_far_root_mean_squares_are_stretched():
    x, v = random_matrix(3, 5), random_matrix(5, 1000, 3)
    ratio = (x @ v).square().mean(0).sqrt() / v.square().mean(0).sqrt()
    bound = Probe(nd.rms_to_rms).value(x)
    assert 0.9 * bound <= ratio.max() <= bound


def test_factors_of_factors_are_multiplied():
    assert 2 * (3 * nd.nuclear) == 6 * nd.nuclear
    assert (2 * nd.rms).base == nd.frobenius


def test_the_factor_divides_the_step_and_multiplies_the_value():
    x = random_matrix(3, 5)
    norm, base = Probe(4 * nd.nuclear), Probe(nd.nuclear)
    torch.testing.assert_close(norm.value(x), 4 * base.value(x))
    torch.testing.assert_close(norm.dual(x), base.dual(x) / 4)
    torch.testing.assert_close(norm.lmo(x), base.lmo(x) / 4)
    torch.testing.assert_close(norm.sharp(x), base.sharp(x) / 16)


def test_the_dual_norm_has_the_inverse_factor():
    x = random_matrix(3, 5)
    found = Probe((4 * nd.nuclear).dual_norm).value(x)
    torch.testing.assert_close(found, torch.linalg.matrix_norm(x, 2) / 4)


def test_a_factor_may_be_an_expression():
    x, w = random_matrix(3, 5), random_matrix(3, 5, 1)
    norm = nd.frobenius.value(W) * nd.spectral
    torch.testing.assert_close(
        evaluate(norm.value(G), x, w)[0, 0], w.norm() * torch.linalg.matrix_norm(x, 2)
    )
    assert norm.isometries is None
    assert (nd.sqrt(nd.rows) * nd.spectral).isometries == nd.spectral.isometries


def test_a_factor_of_zero_gives_no_step():
    x = random_matrix(3, 5)
    norm = nd.frobenius.value(W) * nd.spectral
    zero = torch.zeros(3, 5, dtype=torch.float64)
    assert not evaluate(norm.lmo(G), x, zero).any()


@pytest.mark.parametrize("factor", [0, -1, nd.inner(G, W), Param("q", REAL)], ids=str)
def test_factors_that_may_be_negative_are_refused(factor):
    with refuses(nd.DeclarationError, "above 0"):
        factor * nd.spectral


def test_a_factor_with_entries_is_refused():
    with refuses(nd.ShapeError, "multiply a norm by an m×n", "hadamard"):
        nd.norms.Scaled(nd.abs(G), nd.spectral)


def test_is_shown():
    assert str(nd.rms_to_rms) == "√(n / m) ‖X‖₂"
    assert str(3 * nd.nuclear) == "3 ‖X‖_*"
