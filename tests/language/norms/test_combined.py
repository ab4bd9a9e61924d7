"""Combinations of several norms of one matrix, and their duals."""

import norms_catalogue
import pytest
import torch
from norms_catalogue import MOST, ONE, TWO, brief
from properties import (
    Probe,
    assert_dual_norm_axioms,
    assert_norm_axioms,
    assert_sharp_is_scaled_lmo,
    assert_vanishes_at_zero,
    matrices,
    member,
    random_matrix,
    refuses,
)

import normdsl as nd
from normdsl import G
from normdsl.expressions.matrix_classes import ORTHOGONAL, SIGNED_PERMUTATION, TRIVIAL, Isometries
from normdsl.norms import Combined, Infimal, operator_norm

NORMS = {**norms_catalogue.of(Combined), **norms_catalogue.of(Infimal)}
BOTH = nd.max_of(nd.spectral, 2 * nd.max_entry)


@pytest.mark.parametrize("holds", [assert_vanishes_at_zero, assert_sharp_is_scaled_lmo])
@pytest.mark.parametrize("name", NORMS)
def test_steps_are_what_they_are_for_every_norm(name, holds):
    holds(brief(NORMS[name]))


@pytest.mark.parametrize("name", norms_catalogue.of(Combined))
def test_a_combination_is_a_norm(name):
    assert_norm_axioms(NORMS[name])


@pytest.mark.parametrize("name", norms_catalogue.of(Infimal))
def test_the_dual_of_an_infimal_combination_is_a_norm(name):
    assert_dual_norm_axioms(NORMS[name])


@pytest.mark.parametrize("name", norms_catalogue.of(Combined))
def test_the_step_has_norm_one_and_ignores_scale_after_any_number_of_iterations(name):
    probe = Probe(brief(NORMS[name]))
    for m in matrices():
        step = probe.lmo(m)
        torch.testing.assert_close(probe.value(step).item(), 1.0, rtol=1e-9, atol=1e-9)
        for c in (1e-150, 1e-3, 1e150):
            torch.testing.assert_close(probe.lmo(c * m), step, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", norms_catalogue.of(Infimal))
def test_the_step_of_an_infimal_combination_attains_the_dual(name):
    probe = Probe(NORMS[name])
    for m in matrices():
        torch.testing.assert_close((m * probe.lmo(m)).sum(), -probe.dual(m))


@pytest.mark.parametrize("name", NORMS)
def test_has_its_isometries(name):
    """Up to the tolerance of the iteration, which itself commutes with them."""
    norm, x = brief(NORMS[name]), random_matrix(3, 4)
    P, Q = member(norm.isometries.rows, 3, 1), member(norm.isometries.cols, 4, 2)
    probe = Probe(norm)
    torch.testing.assert_close(probe.value(P @ x @ Q.mT), probe.value(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        probe.lmo(P @ x @ Q.mT), P @ probe.lmo(x) @ Q.mT, rtol=1e-6, atol=1e-6
    )


def test_a_combination_has_the_isometries_that_all_its_norms_have():
    shared = Isometries(SIGNED_PERMUTATION, SIGNED_PERMUTATION, TRIVIAL)
    assert BOTH.isometries == shared
    one_sided = nd.sum_of(nd.spectral, operator_norm(1, 2)).isometries
    assert (one_sided.rows, one_sided.cols) == (ORTHOGONAL, SIGNED_PERMUTATION)
    moving = nd.preconditioned(nd.spectral, hadamard=nd.abs(G))
    assert nd.infimal(nd.spectral, moving).isometries is None


def test_values_are_combined():
    x = random_matrix(3, 4)
    a, b = Probe(nd.spectral).value(x), Probe(nd.frobenius).value(x)
    for combine, expected in (
        (nd.max_of, torch.maximum(a, b)),
        (nd.sum_of, a + b),
        (nd.l2_of, (a**2 + b**2).sqrt()),
    ):
        torch.testing.assert_close(Probe(combine(nd.spectral, nd.frobenius)).value(x), expected)


def test_a_blend_steps_by_the_sum_of_the_steps():
    x = random_matrix(3, 4)
    blend = nd.infimal(2 * nd.spectral, 4 * nd.frobenius, by=MOST)
    steps = Probe(nd.spectral).lmo(x) / 2 + Probe(nd.frobenius).lmo(x) / 4
    torch.testing.assert_close(Probe(blend).lmo(x), steps)


def test_an_infimal_sum_steps_by_the_norm_whose_dual_is_larger():
    x = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    norm = nd.infimal(nd.spectral, 3 * nd.max_entry)
    torch.testing.assert_close(Probe(norm).lmo(x), Probe(nd.spectral).lmo(x))
    norm = nd.infimal(3 * nd.spectral, nd.max_entry)
    torch.testing.assert_close(Probe(norm).lmo(x), Probe(nd.max_entry).lmo(x))


def test_duals_are_exchanged():
    assert nd.max_of(nd.spectral, nd.frobenius).dual_norm == nd.infimal(nd.nuclear, nd.frobenius)
    assert nd.infimal(nd.spectral, nd.frobenius, by=TWO).dual_norm == nd.l2_of(
        nd.nuclear, nd.frobenius
    )
    assert BOTH.dual_norm.dual_norm == BOTH


def test_closed_forms_are_exact_and_iterations_say_what_they_promise():
    assert nd.spectral.tolerance == nd.infimal(nd.spectral, nd.frobenius).tolerance == 0
    assert 0 < BOTH.tolerance <= 1e-3


@pytest.mark.parametrize(
    "build",
    [
        lambda: nd.max_of(nd.spectral, nd.schatten(3)),
        lambda: nd.max_of(nd.spectral, nd.ky_fan(2)),
        lambda: nd.max_of(nd.spectral, nd.rows * nd.frobenius),
        lambda: nd.max_of(nd.spectral, nd.row_norm(ONE, ONE)),
        lambda: nd.norms.Combined((nd.spectral, nd.frobenius), nd.lp(3)),
    ],
)
def test_norms_that_the_iteration_does_not_know_are_refused(build):
    with refuses(nd.DeclarationError, "find the LMO of a combination", "nd.infimal"):
        build()


@pytest.mark.parametrize("combine", [nd.max_of, nd.sum_of, nd.l2_of, nd.infimal])
def test_fewer_than_two_norms_are_refused(combine):
    for norms in ((), (nd.spectral,), (nd.spectral, "frobenius")):
        with refuses(nd.DeclarationError, "two norms or more"):
            combine(*norms)


def test_the_value_of_an_infimal_combination_that_is_not_known_is_refused():
    norm, x = nd.infimal(nd.spectral, nd.schatten(3)), random_matrix(3, 4)
    duals = (Probe(p).dual(x) for p in norm.parts)
    torch.testing.assert_close(Probe(norm).dual(x), torch.maximum(*duals))
    with refuses(nd.DeclarationError, "the gauge 3/2"):
        _ = norm.value(G).definition


def test_is_shown():
    assert str(BOTH) == "max(‖X‖₂, 2 ‖X‖∞)"
    assert str(nd.l2_of(nd.spectral, nd.frobenius)) == "ltwo(‖X‖₂, ‖X‖_F)"
    assert str(nd.infimal(nd.spectral, nd.frobenius)) == "infsum(‖X‖₂, ‖X‖_F)"
