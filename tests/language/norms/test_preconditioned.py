"""Norms pulled back along linear maps."""

import pytest
import torch
from properties import NORM_PROPERTIES, Probe, evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.norms import Preconditioned
from normdsl.norms.maps import Compose, Hadamard, Left, Right, Rotate

ROW_GRAM, COL_GRAM = W @ W.T, W.T @ W
L = nd.matrix_power(ROW_GRAM + nd.eye_like(ROW_GRAM), 1 / 2)
R = nd.matrix_power(COL_GRAM + nd.eye_like(COL_GRAM), 1 / 4)
D = nd.abs(W) + 1 / 2
Q = (nd.eigenbasis(ROW_GRAM), nd.eigenbasis(COL_GRAM))

NORMS = {
    "left": nd.preconditioned(nd.spectral, left=L),
    "right": nd.preconditioned(nd.frobenius, right=R),
    "both": nd.preconditioned(nd.spectral, left=L, right=R),
    "hadamard": nd.preconditioned(nd.max_entry, hadamard=D),
    "rotated": nd.preconditioned(nd.max_entry, rotate=Q),
    "soap": nd.preconditioned(nd.frobenius, rotate=Q, hadamard=D),
    "everything": nd.preconditioned(nd.spectral, left=L, right=R, rotate=Q, hadamard=D),
    "twice": nd.preconditioned(nd.preconditioned(nd.spectral, hadamard=D), left=L),
    "nonsymmetric": nd.preconditioned(nd.spectral, left=L @ L @ Q[0]),
}


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
@pytest.mark.parametrize("name", NORMS)
def test_is_a_norm_with_its_operators(name, holds):
    holds(NORMS[name])


@pytest.mark.parametrize("base", [nd.frobenius, nd.spectral, nd.max_entry])
def test_value_is_the_base_norm_of_the_image(base):
    x, w = random_matrix(3, 5, 1), random_matrix(3, 5, 2)
    norm = nd.preconditioned(base, hadamard=nd.abs(W))
    found = evaluate(norm.value(G), x, w)[0, 0]
    torch.testing.assert_close(found, Probe(base).value(w.abs() * x))


def test_the_papers_norm_is_left_then_right():
    x, w = random_matrix(3, 5, 1), random_matrix(3, 5, 2)
    norm = nd.preconditioned(nd.frobenius, left=ROW_GRAM, right=COL_GRAM)
    expected = torch.linalg.matrix_norm(w @ w.mT @ x @ w.mT @ w)
    torch.testing.assert_close(evaluate(norm.value(G), x, w)[0, 0], expected)


def test_lmo_is_zero_where_the_weights_are_zero():
    """A coordinate that the preconditioner ignores is left alone: the pseudo-inverse."""
    w = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)
    norm = nd.preconditioned(nd.max_entry, hadamard=nd.abs(W))
    step = evaluate(norm.lmo(G), torch.ones(1, 3, dtype=torch.float64), w)
    assert step.tolist() == [[-0.5, 0.0, -1.0]]


def test_parts_become_maps_in_order():
    norm = nd.preconditioned(nd.spectral, left=L, right=R, rotate=Q, hadamard=D)
    assert norm.map == Compose((Rotate(*Q), Left(L), Right(R), Hadamard(D)))
    assert nd.preconditioned(nd.spectral, left=L) == Preconditioned(nd.spectral, Left(L))


def test_equality_is_structural():
    again = nd.preconditioned(nd.spectral, left=L)
    assert again == NORMS["left"]
    assert hash(again) == hash(NORMS["left"])
    assert nd.preconditioned(nd.frobenius, left=L) != NORMS["left"]
    assert nd.preconditioned(nd.spectral, left=L @ L) != NORMS["left"]


def test_states_no_isometries_of_its_own():
    assert NORMS["left"].isometries is None


def test_nothing_to_precondition_by_is_refused():
    with refuses(nd.DeclarationError, "precondition a norm by nothing"):
        nd.preconditioned(nd.spectral)


@pytest.mark.parametrize("part", ["left", "right", "hadamard"])
def test_parts_of_another_shape_are_refused(part):
    wrong = {"left": COL_GRAM, "right": ROW_GRAM, "hadamard": ROW_GRAM}[part]
    with refuses(nd.ShapeError, "precondition with a"):
        nd.preconditioned(nd.spectral, **{part: wrong})


def test_exchanged_rotations_are_refused():
    with refuses(nd.ShapeError, "left rotation"):
        nd.preconditioned(nd.spectral, rotate=(Q[1], Q[0]))


ZERO_MAPS = {"left": nd.zeros_like(ROW_GRAM), "right": nd.zeros_like(COL_GRAM), "hadamard": 0}


@pytest.mark.parametrize("part", ZERO_MAPS)
def test_a_map_to_zero_is_refused(part):
    with refuses(nd.DeclarationError, "precondition with zero", "invertible"):
        nd.preconditioned(nd.spectral, **{part: ZERO_MAPS[part]})


def test_a_base_that_is_no_norm_is_refused():
    with refuses(nd.DeclarationError):
        nd.preconditioned("spectral", hadamard=D)


def test_is_shown():
    both = nd.preconditioned(nd.spectral, left=ROW_GRAM, right=COL_GRAM)
    assert str(both) == "‖W Wᵀ X (Wᵀ W)‖₂"
    assert str(nd.preconditioned(nd.frobenius, hadamard=nd.abs(W))) == "‖abs(W) ∘ X‖_F"
    assert r"\circ X" in NORMS["hadamard"]._repr_latex_()


# One side of the LMO alone


@pytest.mark.parametrize("base", [nd.spectral, nd.frobenius, nd.max_entry], ids=str)
def test_positions_are_three_notions(base):
    m, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    d = w.abs() + 0.5
    inside, outside, norm = (
        make(base, hadamard=D) for make in (nd.inner_only, nd.outer_only, nd.preconditioned)
    )
    lmo = Probe(base).lmo
    expected = (lmo(m / d), lmo(m) / d, lmo(m / d) / d)
    steps = [evaluate(x.lmo(G), m, w) for x in (inside, outside, norm)]
    for found, wanted in zip(steps, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert not torch.allclose(steps[0], steps[1])
    torch.testing.assert_close(evaluate(inside.sharp(G), m, w), Probe(base).sharp(m / d))
    torch.testing.assert_close(evaluate(outside.sharp(G), m, w), Probe(base).sharp(m) / d)


def test_left_and_right_factors_stand_on_one_side_too():
    m, w = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    factor = nd.matrix_power(ROW_GRAM, 1 / 2)
    values, vectors = torch.linalg.eigh(w @ w.mT)
    inverse = (vectors * values**-0.5) @ vectors.mT
    found = evaluate(nd.outer_only(nd.spectral, left=factor).lmo(G), m, w)
    torch.testing.assert_close(found, inverse @ Probe(nd.spectral).lmo(m))


def test_a_position_is_no_norm():
    for position in (nd.inner_only(nd.spectral, hadamard=D), nd.outer_only(nd.spectral, left=L)):
        for operation in (position.dual, position.value):
            with refuses(nd.DeclarationError, "inherit none of its theorems"):
                operation(2 * G)
        assert not isinstance(position, nd.Norm)


def test_a_position_does_not_inherit_scale_invariance():
    """The paper's condition needs D on both sides; with it on one side the scale is left over."""
    for make, answer in (
        (nd.preconditioned, "invariant"),
        (nd.inner_only, "not invariant"),
        (nd.outer_only, "not invariant"),
    ):
        norm = make(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9)))
        rule = nd.Declaration("one_sided", (), W + norm.lmo(G) / 10)
        assert rule.check("scale").answer == answer
