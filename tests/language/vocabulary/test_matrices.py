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


def test_eigenvalues_go_with_eigenvectors():
    g, w = random_matrix(4, 3, 1), random_matrix(4, 3, 2)
    values, basis = nd.eigenvalues(GRAM), nd.eigenbasis(GRAM)
    together = evaluate(basis @ nd.diag(values) @ basis.T @ W, g, w)
    torch.testing.assert_close(together, evaluate(GRAM @ W, g, w))
    found = evaluate(nd.sum(values, over="all") * W, g, w)
    torch.testing.assert_close(found, evaluate(nd.trace(GRAM) * W, g, w))
    assert nd.eigenvalues(GRAM).facts.nonnegative
    assert not nd.eigenvalues(C + C.T).facts.nonnegative


def test_products_with_diagonals_are_multiples_of_lines():
    v = nd.diagonal(GRAM)
    assert nd.diag(v) @ G == v * G
    assert G @ nd.diag(nd.diagonal(G.T @ G)) == G * nd.diagonal(G.T @ G).T
    assert nd.diag(v).facts.psd
    assert nd.diag(nd.diagonal(C)).facts.symmetric
    assert not nd.diag(nd.diagonal(C)).facts.psd
    g, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    whole = evaluate((nd.diag(nd.diagonal(C)) + 0 * C) @ W, g, w)
    torch.testing.assert_close(whole, (w @ g.mT).diagonal().diag() @ w)


def test_a_triangle_is_torchs():
    g, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    torch.testing.assert_close(evaluate(nd.triu(C) @ G, g, w), (w @ g.mT).triu() @ g)
    torch.testing.assert_close(evaluate(nd.triu(C.T).T @ G, g, w), (w @ g.mT).tril() @ g)


def test_entries_stand_row_after_row():
    g, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    first, second = g.reshape(-1, 1), w.reshape(-1, 1)
    found = evaluate(nd.unvec(nd.vec(G) @ nd.vec(W).T @ nd.vec(G)), g, w)
    torch.testing.assert_close(found, (first @ (second.mT @ first)).reshape(3, 4))
    assert nd.vec(nd.unvec(2 * nd.vec(G))) == 2 * nd.vec(G)
    assert nd.unvec(nd.vec(G)) == G
    assert nd.vec(nd.zeros_like(G)) == nd.zeros_like(nd.vec(G))
    assert nd.unvec(nd.zeros_like(nd.vec(G))) == nd.zeros_like(G)
    torch.testing.assert_close(evaluate(nd.mean(nd.vec(G)) * W, g, w), g.mean() * w)


@pytest.mark.parametrize(
    ("word", "argument", "why"),
    [
        (nd.eigenvalues, G, "it is defined for square matrices"),
        (nd.eigenvalues, C, "known to be symmetric"),
        (nd.diag, G, "a number for each row, in a column"),
        (nd.diag, nd.sum(G, over="rows"), "a number for each row, in a column"),
        (nd.diag, nd.loss, "a number for each row, in a column"),
        (nd.diagonal, G, "a diagonal is one of a square matrix"),
        (nd.triu, G, "it is defined for square matrices"),
        (nd.vec, G.T, "a column of mn entries is made of an m×n matrix"),
        (nd.vec, nd.loss, "a column of mn entries is made of an m×n matrix"),
        (nd.unvec, G, "an m×n matrix is made of a column of mn entries"),
        (nd.normal_like, nd.vec(G), "one for each entry of W at most"),
    ],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_what_is_refused(word, argument, why):
    with pytest.raises(nd.NormdslError) as caught:
        word(argument)
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("expr", "written"),
    [
        (nd.eigenvalues(GRAM), "eigenvalues(G Gᵀ)"),
        (nd.diag(nd.diagonal(C)), "diag(diagonal(W Gᵀ))"),
        (-nd.diag(nd.diagonal(C)), "−diag(diagonal(W Gᵀ))"),
        (nd.triu(C), "triu(W Gᵀ)"),
        (nd.unvec(2 * nd.vec(G)), "unvec(2 vec(G))"),
    ],
    ids=str,
)
def test_how_they_are_written(expr, written):
    assert str(expr) == written
    name = written.lstrip("−").partition("(")[0]
    assert rf"\operatorname{{{name}}}" in expr._repr_latex_()
