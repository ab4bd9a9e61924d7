"""Functions of matrices: each builds the node it names."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.folding import fold
from normdsl.expressions import nodes
from normdsl.expressions.domains import NON_NEGATIVE
from normdsl.expressions.nodes.constants import as_expr

GRAM = G @ G.T
C = W @ G.T


def test_spectral_words_build_their_nodes():
    assert nd.polar(G) == nodes.Polar(G)
    assert nd.inner(G, W) == nodes.Inner(G, W)
    assert nd.eigenbasis(GRAM) == nodes.Eigenbasis(GRAM)
    assert nd.matrix_power(GRAM, 0.25) == nodes.MatrixPower(GRAM, as_expr(0.25))
    assert nd.inverse(C) == nodes.Inverse(C)


def test_inverse_knows_what_it_inverts():
    root, basis = nd.matrix_power(GRAM, 0.25), nd.eigenbasis(GRAM)
    assert nd.inverse(root) == nd.matrix_power(GRAM, -0.25)
    assert nd.inverse(nd.inverse(root)) == root
    assert nd.inverse(nd.inverse(C)) == C
    assert nd.inverse(basis) == basis.T
    given = nd.fix(lambda s: s, nd.eye_like(G @ G.T))  # another start may be assumed of it
    assert nd.inverse(given) != given
    assert nd.inverse(given @ basis) != (given @ basis).T
    assert nd.inverse(GRAM) == nd.matrix_power(GRAM, -1)
    assert nd.inverse(nd.inverse(GRAM)) == GRAM


@pytest.mark.parametrize("x", [C, GRAM, nd.matrix_power(GRAM, 0.5), nd.eigenbasis(GRAM)], ids=str)
def test_inverse_inverts(x):
    g, w = random_matrix(3, 3, 1), random_matrix(3, 3, 2)
    torch.testing.assert_close(evaluate(nd.inverse(x) @ x @ G, g, w), g)
    torch.testing.assert_close(evaluate(x @ nd.inverse(x) @ G, g, w), g)


def test_first_power_is_the_matrix_itself():
    assert nd.matrix_power(GRAM, 1) == GRAM


def test_the_power_zero_is_the_identity_also_of_a_singular_matrix():
    eye = nd.eye_like(GRAM)
    assert nd.matrix_power(GRAM, 0) == eye
    p = nodes.Param("p", NON_NEGATIVE)
    power = nd.matrix_power(0 * GRAM, p)
    assert fold(power, {p: as_expr(0)}) == eye
    assert fold(power, {}) == power
    assert fold(power @ G, {p: as_expr(0)}) == G
    assert fold(nd.matrix_power(0 * GRAM, 2), {}) == 0 * GRAM


@pytest.mark.parametrize("p", [1 / 2, 1, 2])
def test_matrix_power_refuses_the_same_for_every_exponent(p):
    with refuses(nd.ShapeError, "defined for square matrices"):
        nd.matrix_power(2 * G, p)
    with refuses(nd.DomainError, "symmetric S"):
        nd.matrix_power(C, p)


@pytest.mark.parametrize("word", [nd.inverse, nd.eigenbasis])
def test_matrix_words_refuse_rectangles(word):
    with refuses(nd.ShapeError, "m×m or n×n"):
        word(2 * G)


def test_the_advice_on_eigenbases_can_be_followed():
    """The error says: use S + S.T."""
    with refuses(nd.DomainError, "S + S.T"):
        nd.eigenbasis(C)
    assert nd.eigenbasis(C + C.T).shape == C.shape


def test_the_advice_on_powers_can_be_followed():
    assert nd.matrix_power(C @ C.T, 1 / 2).facts.psd
    assert nd.sqrt(nd.abs(G)).facts.nonnegative
    assert nd.inverse(C).shape == C.shape
