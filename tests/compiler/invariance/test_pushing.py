"""Push-through: functions of X Xᵀ before an X, powers, inverses and polynomials alike."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance.normal_form import normal_form

M, N = nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)
LEFT, RIGHT = G @ G.T, G.T @ G
X = G + 2 * W

PUSHED = [
    ((M + LEFT) @ G, G @ (N + RIGHT)),
    ((2 * LEFT + 3 * LEFT @ LEFT) @ G, G @ (2 * RIGHT + 3 * RIGHT @ RIGHT)),
    ((M + X @ X.T) @ X, X @ (N + X.T @ X)),
    (nd.inverse(M + LEFT) @ G, G @ nd.inverse(N + RIGHT)),
    (nd.matrix_power(M + LEFT, -0.5) @ nd.polar(G), nd.polar(G) @ nd.matrix_power(N + RIGHT, -0.5)),
    (nd.inverse(nd.inverse(M + LEFT) + LEFT @ LEFT) @ G, G @ nd.inverse(
        nd.inverse(N + RIGHT) + RIGHT @ RIGHT)),
    ((nd.matrix_power(RIGHT, 0.5) @ G.T).T, nd.matrix_power(LEFT, 0.5) @ G),
    (2 * (nd.inverse(N + RIGHT) @ G.T).T, 2 * nd.inverse(M + LEFT) @ G),
    ((M + W @ RIGHT @ W.T) @ W @ G.T, W @ G.T @ (M + G @ W.T @ W @ G.T)),
]  # fmt: skip
STUCK = [
    ((M + LEFT) @ W, W @ (N + RIGHT)),
    ((LEFT + W @ W.T) @ G, G @ (RIGHT + W.T @ W)),
    ((M + G @ W.T) @ G, G @ (N + W.T @ G)),
    ((M + LEFT) @ nd.polar(W), nd.polar(W) @ (N + RIGHT)),
    ((M + LEFT) @ G, G @ (N + 2 * RIGHT)),
]


@pytest.mark.parametrize(("x", "y"), PUSHED, ids=[f"{x} = {y}" for x, y in PUSHED])
def test_both_sides_have_one_form(x, y):
    assert normal_form(x) == normal_form(y)


@pytest.mark.parametrize(("x", "y"), STUCK, ids=[f"{x} ≠ {y}" for x, y in STUCK])
def test_other_factors_stay_where_they_are(x, y):
    assert normal_form(x) != normal_form(y)
