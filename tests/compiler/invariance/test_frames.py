"""Coordinates that turn at every step: what is turned along is a law, what is not is refused."""

import proofs
import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.laws import FIXED, Frame, Law, frame
from normdsl.compiler.invariance.verdict import Status

LEFT, RIGHT = nd.ema(G @ G.T, 0.9), nd.ema(G.T @ G, 0.9)
Q, P = nd.eigenbasis(LEFT), nd.eigenbasis(RIGHT)


def rule(step):
    return nd.Declaration("turned", (), W - step)


def in_coordinates(m):
    return rule(Q @ nd.tanh(m) @ P.T)


@pytest.mark.parametrize("group", [g.orthogonal, g.left_orthogonal, g.right_orthogonal])
def test_an_average_that_is_turned_along_is_invariant(group):
    verdict = in_coordinates(nd.ema_in_basis(G, 0.9, Q, P)).check(group)
    assert verdict.status is Status.CONDITIONAL
    assert "distinct eigenvalues" in verdict.answer
    proofs.assert_proof_holds(verdict)


@pytest.mark.parametrize("group", [g.orthogonal, g.left_orthogonal, g.right_orthogonal])
@pytest.mark.parametrize("average", [nd.ema(Q.T @ G @ P, 0.9), nd.accumulate(Q.T @ G @ P)])
def test_an_average_in_the_coordinates_of_now_turns_by_itself(average, group):
    verdict = in_coordinates(average).check(group)
    assert verdict.status is Status.CONDITIONAL
    proofs.assert_proof_holds(verdict)


@pytest.mark.parametrize(
    "x",
    [
        (Q.T @ G @ P) ** 2,
        nd.abs(Q.T @ G @ P),
        nd.sum((Q.T @ G) * (Q.T @ G), over="cols"),
        nd.sum((G @ P) ** 2, over="rows"),
    ],
    ids=str,
)
def test_what_has_no_sign_turns_by_squared_cosines(x):
    """Also from another start than zero, and where maxima are kept."""
    largest = nd.fix(lambda s: nd.maximum(0.9 * s, x), nd.zeros_like(x) + 0.1)
    step = Q @ (nd.tanh(Q.T @ G @ P) / (nd.ema(x, 0.9) + largest)) @ P.T
    verdict = rule(step).check(g.orthogonal)
    assert verdict.status is Status.CONDITIONAL
    proofs.assert_proof_holds(verdict)


def test_moments_of_one_side_turn():
    v = nd.ema((Q.T @ G) ** 2, 0.9)
    verdict = rule(Q @ (Q.T @ G / (nd.sqrt(v) + 1))).check(g.left_orthogonal)
    assert verdict.status is Status.CONDITIONAL
    proofs.assert_proof_holds(verdict)


def test_an_average_in_the_coordinates_of_another_step_is_refused_with_advice():
    old, beside = nd.prev(Q), nd.prev(P)
    verdict = rule(old @ nd.tanh(nd.ema(old.T @ G @ beside, 0.9)) @ beside.T).check(g.orthogonal)
    assert verdict.status is Status.REFUTED
    assert "turns anew at every step" in verdict.because
    assert "nd.prev(Q)" in verdict.because


def test_turning_by_the_wrong_step_is_refused():
    """Two steps back is another frame than one step back."""
    turn, back = Q.T @ nd.prev(Q, 2), nd.prev(P, 2).T @ P
    m = nd.fix(lambda s: 0.9 * (turn @ s @ back) + Q.T @ G @ P, nd.zeros_like(G))
    assert in_coordinates(m).check(g.orthogonal).status is Status.REFUTED


def test_a_square_root_of_a_step_ago_is_not_one_of_today():
    now = nd.matrix_power(LEFT, -1 / 2)
    mixed = rule(now @ nd.polar(nd.prev(now) @ G))
    assert mixed.check(g.left_affine).status is not Status.INVARIANT


def test_an_eigenbasis_that_starts_from_a_constant_is_refused():
    """At the first step it is that of zero, so that the sign is one of G itself."""
    before = nd.eigenbasis(nd.prev(LEFT))
    verdict = rule(before @ nd.sign(before.T @ G) / 10).check(g.left_orthogonal)
    assert verdict.status is Status.REFUTED
    assert "starts as a constant" in verdict.because
    assert verdict.witness.step == 1


def test_frames_say_how_old_they_are():
    law = Law(frame(LEFT, "signs"), FIXED)
    assert law.aged.rows.element == Frame(LEFT, "signs", 1)
    assert law.aged.aged.rows.element.show({LEFT: "L"}) == "signs[L, 2 steps ago]"
    assert law.aged.rows.element.show({LEFT: "L"}) == "signs[L, a step ago]"
    assert Law().aged == Law()
