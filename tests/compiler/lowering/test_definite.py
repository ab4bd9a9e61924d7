"""Positive definite for certain: what shows it, and what does not."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.definite import definite

S = G @ G.T
EYE = nd.eye_like(S)
L = nd.accumulate(S, EYE)


def told(build):
    """Return the answer for what is built of a hyper-parameter > 0, and of one that may be 0."""
    answers = []

    @nd.optimizer
    def rule(eps: nd.Positive = 1e-3, zero: nd.NonNegative = 0.0):
        answers.append((definite(build(eps)), definite(build(zero))))
        return W - (eps + zero) * G

    return answers[-1]


@pytest.mark.parametrize("build", [
    lambda c: S + c * EYE,
    lambda c: c * EYE + L,
    lambda c: 2 * (S + c * EYE) + S,
    lambda c: nd.matrix_power(S + c * EYE, -1 / 2),
])  # fmt: skip
def test_a_multiple_of_the_identity_makes_definite_if_it_is_above_zero(build):
    assert told(build) == (True, False)


def test_what_only_starts_as_the_identity_is_not_definite_for_certain():
    assert not definite(L)
    assert not definite(EYE + (G @ G.T - 2 * S))  # which may have any eigenvalues
