"""Bounds of ranks are met by numbers, and say which shapes a condition leaves."""

import pytest
import torch
from properties import evaluate, random_matrix

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import soap
from normdsl.compiler.invariance.initial_values import FirstStep
from normdsl.compiler.invariance.ranks import missing, rank
from normdsl.compiler.verdicts.check import check

u, r = nd.sum(G, over="cols"), nd.sum(G, over="rows")
L = nd.accumulate(G @ G.T)

BOUNDS = {
    "Gram": (G @ G.T, "n"),
    "sum of Grams": (L, "n"),
    "average": (nd.ema(G @ G.T, 0.9) + 0.1 * W @ W.T, "2 n"),
    "a step ago": (nd.prev(L), "n"),
    "outer product": (u @ u.T, "1"),
    "outer product more": (G @ G.T + u @ u.T, "n + 1"),
    "rows scaled": ((G * u) @ G.T, "n"),
    "columns scaled": ((G * r) @ G.T, "n"),
    "inverse": (nd.inverse(L), "n"),
    "root": (nd.matrix_power(L, 0.5), "n"),
    "Cholesky": (nd.cholesky(L), "n"),
    "polar": (nd.polar(G) @ G.T, "n"),
    "transpose": ((W @ G.T).T, "n"),
}


@pytest.mark.parametrize(("matrix", "bound"), BOUNDS.values(), ids=BOUNDS.keys())
def test_a_square_matrix_has_full_rank_for_some_shapes_only(matrix, bound):
    assert [form.show(("m", "n")) for form in missing(matrix)] == [bound]


def value(matrix, gradient):
    """Return the value of an m×m matrix at the first step, read off its products with W."""
    rows, cols = gradient.shape
    eye = torch.eye(rows, rows + cols, dtype=torch.float64)
    blocks = [
        evaluate(FirstStep()(matrix) @ W, gradient, eye[:, k : k + cols])
        for k in range(0, rows, cols)
    ]
    return torch.cat(blocks, dim=1)[:, :rows]


@pytest.mark.parametrize(
    "name", [name for name in BOUNDS if name not in ("average", "transpose", "a step ago")]
)
@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (4, 4), (6, 1)], ids=str)
def test_no_matrix_has_a_higher_rank(name, shape):
    matrix, _ = BOUNDS[name]
    found = value(matrix, random_matrix(*shape))
    bound = min(f.rows * shape[0] + f.cols * shape[1] + f.rest for f in rank(matrix))
    assert int(torch.linalg.matrix_rank(found, rtol=1e-6)) <= bound


@pytest.mark.parametrize(
    "matrix",
    [G @ G.T + nd.eye_like(L), nd.sign(G @ G.T), nd.exp(W @ G.T), (G @ G.T) * (W @ W.T)],
    ids=str,
)
def test_any_shape_will_do_where_nothing_bounds_the_rank(matrix):
    assert missing(matrix) == []


def rule(statistic, how=nd.inverse):
    @nd.optimizer
    def whitened(lr=0.1):
        S = statistic()
        return W - lr * how(S) @ G

    return whitened


def test_full_rank_is_said_with_the_shapes_that_have_it():
    gram = rule(lambda: nd.accumulate(G @ G.T))
    answer = "invariant if S has full rank (only for m ≤ n)"
    assert check(gram, "left_affine", witnesses=False).answer == answer


def test_letters_that_name_something_else_do_not_name_the_shape():
    @nd.optimizer
    def whitened(lr=0.1):
        m = nd.accumulate(G @ G.T)
        return W - lr * nd.inverse(m) @ G

    verdict = check(whitened, "left_affine", witnesses=False)
    assert verdict.answer == "invariant if m has full rank (only for rows ≤ cols)"


def test_a_verdict_is_not_given_on_what_no_matrix_meets():
    flat = rule(lambda: nd.sum(G, over="cols") @ nd.sum(G, over="cols").T)
    verdict = check(flat, "left_affine", witnesses=False)
    assert verdict.answer == "unknown"
    assert "S to have full rank, but its rank is 1 at most" in verdict.because


def test_full_rank_of_a_root_is_that_of_the_matrix():
    @nd.optimizer
    def factored(lr=0.1):
        L = nd.accumulate(G @ G.T)
        C = nd.cholesky(L)
        return W - lr * nd.inverse(C).T @ (nd.inverse(C) @ G)

    verdict = check(factored, "left_affine", witnesses=False)
    assert verdict.answer == "invariant if L has full rank (only for m ≤ n)"


def test_what_has_a_floor_has_full_rank_by_itself_at_zero():
    @nd.optimizer
    def damped(lr=0.1, eps=1e-4):
        return W - lr * nd.inverse(G @ G.T + eps * nd.eye_like(G @ G.T)) @ G

    verdict = check(damped, "left_affine", witnesses=False)
    assert verdict.answer == "invariant if eps = 0 and G Gᵀ has full rank (only for m ≤ n)"


def test_shapes_that_leave_eigenvalues_distinct_are_noted():
    verdict = check(soap, "left_orthogonal", witnesses=False)
    assert verdict.answer == "invariant if L has distinct eigenvalues"
    assert verdict.notes == [
        "L has distinct eigenvalues at the first step only for rows ≤ cols + 1"
    ]
