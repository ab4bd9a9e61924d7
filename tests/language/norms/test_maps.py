"""Linear maps along which norms are pulled back: inverse and adjoint, checked on numbers."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.norms.maps import Compose, Hadamard, Left, LinearMap, Right, Rotate
from normdsl.show.latex import Latex
from normdsl.show.notation import Level, Piece
from normdsl.show.text import Text

LEFT_GRAM, RIGHT_GRAM = W @ W.T, W.T @ W
L = LEFT_GRAM + nd.eye_like(LEFT_GRAM)
R = RIGHT_GRAM + nd.eye_like(RIGHT_GRAM)
ROTATE = Rotate(nd.eigenbasis(LEFT_GRAM), nd.eigenbasis(RIGHT_GRAM))
SKEW = L @ nd.eigenbasis(LEFT_GRAM)

MAPS = {
    "left": Left(L),
    "left, not symmetric": Left(SKEW),
    "right": Right(R),
    "right, not symmetric": Right(R @ nd.eigenbasis(RIGHT_GRAM)),
    "hadamard": Hadamard(nd.abs(W) + 1),
    "hadamard, signed": Hadamard(W),
    "hadamard by rows": Hadamard(nd.sum(W * W, over="cols")),
    "hadamard by columns": Hadamard(nd.sum(W * W, over="rows")),
    "hadamard by a scalar": Hadamard(nd.sum(W * W)),
    "rotate": ROTATE,
    "composition": Compose((ROTATE, Left(SKEW), Right(R), Hadamard(W))),
    "composition of one": Compose((Left(SKEW),)),
    "composition of compositions": Compose((Compose((Left(L), Hadamard(W))), ROTATE)),
}
SINGULAR = {
    "left": Left(LEFT_GRAM),
    "hadamard": Hadamard(nd.maximum(W, 0)),
}
WEIGHTS = random_matrix(4, 3, 1)


def at(expr, x, weights=WEIGHTS):
    return evaluate(expr, x, weights)


@pytest.fixture
def x():
    return random_matrix(4, 3, 2)


@pytest.fixture
def y():
    return random_matrix(4, 3, 3)


@pytest.mark.parametrize("name", MAPS)
def test_inverse(name, x):
    T = MAPS[name]
    torch.testing.assert_close(at(T.inverse(T.apply(G)), x), x)
    torch.testing.assert_close(at(T.apply(T.inverse(G)), x), x)


@pytest.mark.parametrize("name", MAPS)
def test_adjoint(name, x, y):
    T = MAPS[name]
    one = (at(T.apply(G), x) * y).sum()
    torch.testing.assert_close(one, (x * at(T.adjoint(G), y)).sum())


@pytest.mark.parametrize("name", MAPS)
def test_adjoint_inverse(name, x, y):
    T = MAPS[name]
    torch.testing.assert_close(at(T.adjoint_inverse(T.adjoint(G)), x), x)
    one = (at(T.inverse(G), x) * y).sum()
    torch.testing.assert_close(one, (x * at(T.adjoint_inverse(G), y)).sum())


@pytest.mark.parametrize("name", MAPS)
def test_linearity(name, x, y):
    T = MAPS[name]
    expected = 2 * at(T.apply(G), x) - at(T.apply(G), y)
    torch.testing.assert_close(at(T.apply(G), 2 * x - y), expected)


@pytest.mark.parametrize("name", SINGULAR)
def test_pseudo_inverse_of_a_singular_map(name, x):
    """T T⁺ T = T and T⁺ T T⁺ = T⁺, both finite."""
    T = SINGULAR[name]
    thin = random_matrix(4, 2, 4) @ random_matrix(2, 3, 5)
    once = at(T.apply(G), x, thin)
    torch.testing.assert_close(at(T.apply(T.inverse(T.apply(G))), x, thin), once)
    back = at(T.inverse(G), x, thin)
    torch.testing.assert_close(at(T.inverse(T.apply(T.inverse(G))), x, thin), back)


def test_first_map_is_applied_first():
    both = Compose((Left(L), Right(R)))
    assert both.apply(G) == (L @ G) @ R
    assert Compose(()).apply(G) == G


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: Left(R), "left factor"),
        (lambda: Left(2 * W), "left factor"),
        (lambda: Right(L), "right factor"),
        (lambda: Right(nd.sum(W)), "right factor"),
        (lambda: Hadamard(L), "entrywise weights"),
        (lambda: Hadamard(W.T), "entrywise weights"),
        (lambda: Rotate(R, L), "left rotation"),
        (lambda: Rotate(L, L), "right rotation"),
    ],
)
def test_other_shapes_are_refused(build, what):
    with refuses(nd.ShapeError, f"as the {what}", f"the {what} of an m×n matrix"):
        build()


def test_maps_are_values():
    assert Left(L) == Left(L)
    assert hash(Left(L)) == hash(Left(L))
    assert Left(L) != Left(SKEW)
    with pytest.raises(TypeError, match="abstract"):
        LinearMap()


@pytest.mark.parametrize(
    ("T", "text", "latex"),
    [
        (Left(nd.eye_like(L)), "I X", r"I\, X"),
        (Right(nd.eye_like(R)), "X I", r"X\, I"),
        (Hadamard(W), "W ∘ X", r"W \circ X"),
        (Compose((Left(nd.eye_like(L)), Hadamard(W))), "W ∘ (I X)", r"W \circ \left(I\, X\right)"),
        (Left(nd.eye_like(L) + LEFT_GRAM), "(I + W Wᵀ) X", None),
    ],
)
def test_written(T, text, latex):
    inner = Piece("X", Level.ATOM)
    assert T.write(inner, Text()).text == text
    assert latex is None or T.write(inner, Latex()).text == latex


def test_rotation_is_written_with_a_transpose():
    written = ROTATE.write(Piece("X", Level.ATOM), Text()).text
    assert written == "eigenbasis(W Wᵀ)ᵀ X eigenbasis(Wᵀ W)"
