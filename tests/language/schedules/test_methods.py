"""Methods: values that say what they compute, and what a schedule refuses."""

from fractions import Fraction

import pytest
from properties import refuses

import normdsl as nd

METHODS = (
    nd.SVD(),
    nd.QRSVD(),
    nd.Eigh(),
    nd.jordan(),
    nd.quintic().on_gram(),
    nd.Turbo(),
    nd.CoupledNewton(),
    nd.QRPower(),
)


def test_methods_are_values():
    assert nd.CoupledNewton() == nd.CoupledNewton(steps=30)
    assert hash(nd.Schedule(root=nd.CoupledNewton(9))) == hash(
        nd.Schedule(root=nd.CoupledNewton(9))
    )
    assert nd.Schedule(polar=nd.Eigh()) != nd.Schedule(polar=nd.QRSVD())


def test_exact_methods_have_the_band_one():
    for method in (nd.SVD(), nd.QRSVD(), nd.Eigh()):
        assert method.band() == method.band(1e-3) == (1.0, 1.0)


@pytest.mark.parametrize("r", [1, 2, 3, 4, 8])
def test_coupled_newton_takes_inverse_roots(r):
    assert nd.CoupledNewton().takes(Fraction(-1, r))
    assert not nd.CoupledNewton().takes(Fraction(1, r))


@pytest.mark.parametrize("exponent", [None, Fraction(-2, 3), Fraction(-2), Fraction(0)])
def test_and_no_other_exponents(exponent):
    assert not nd.CoupledNewton().takes(exponent)
    assert nd.Eigh().takes(exponent)


@pytest.mark.parametrize("role", ["polar", "root", "eigenbasis"])
def test_a_schedule_takes_the_methods_that_have_a_kernel_for_the_role(role):
    several = {"roots"}  # several powers of one matrix, by methods of roots
    roles = {r for method in METHODS for r in method.kernels}
    assert roles - several == {"polar", "root", "eigenbasis"}
    for method in METHODS:
        if role in method.kernels:
            assert getattr(nd.Schedule(**{role: method}), role) is method
        else:
            with refuses(nd.DeclarationError, f"schedule {role}="):
                nd.Schedule(**{role: method})


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, None])
def test_steps_are_whole_numbers(steps):
    with refuses(nd.DeclarationError, "steps"):
        nd.CoupledNewton(steps)
