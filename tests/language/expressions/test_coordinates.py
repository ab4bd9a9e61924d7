"""Coordinates of an eigenbasis: what keeps them, with and without signs, and what loses them."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.coordinates import Along, Coordinates, Kind, Unknown, plain

L = nd.ema(G @ G.T, 0.9)
Q, P = nd.eigenbasis(L), nd.eigenbasis(nd.ema(G.T @ G, 0.9))
X = Q.T @ G @ P
ODD, EVEN = (Along(Q, True), Along(P, True)), (Along(Q, False), Along(P, False))
ROWS, COLS = (Along(Q, False), Kind.EQUAL), (Kind.EQUAL, Along(P, False))
PLAIN, NUMBER = (Kind.PLAIN, Kind.PLAIN), (Kind.EQUAL, Kind.EQUAL)

KNOWN = {
    "the gradient": (G, PLAIN),
    "a number": (nd.sum(X * X), NUMBER),
    "one side": (Q.T @ G, (Along(Q, True), Kind.PLAIN)),
    "both sides": (X, ODD),
    "transposed": (X.T, ODD[::-1]),
    "turned back": (Q @ X @ P.T, PLAIN),
    "the basis": (Q, (Kind.PLAIN, Along(Q, True))),
    "a basis a step ago": (nd.prev(Q), PLAIN),
    "squares": (X**2, EVEN),
    "a product with itself": (X * X, EVEN),
    "sizes": (nd.abs(X), EVEN),
    "cubes": (X**3, ODD),
    "an odd function": (nd.tanh(X), ODD),
    "any function of squares": (nd.exp(-(X**2)), EVEN),
    "a root": (nd.sqrt(X**2), EVEN),
    "a quotient": (X / (nd.sqrt(X**2) + 1), ODD),
    "a multiple": (3 * X, ODD),
    "a sum": (X + Q.T @ W @ P, ODD),
    "a number more": (X**2 + 1, EVEN),
    "the larger": (nd.maximum(X**2, 1), EVEN),
    "a remainder of sizes": (nd.mod(nd.abs(X), X**2), EVEN),
    "a choice by sizes": (nd.where(nd.abs(X) > 1, X, 0), ODD),
    "a choice of sizes": (nd.where(nd.abs(X) > X**4, X**2, 1), EVEN),
    "sums of rows": (nd.sum(X**2, over="cols"), ROWS),
    "largest of columns": (nd.max(nd.abs(X), over="rows"), COLS),
    "second largest of rows": (nd.kth_largest(nd.abs(X), 2, over="cols"), ROWS),
    "quantiles of rows": (nd.quantile(nd.abs(X), 0.5, over="cols"), ROWS),
    "inner products of rows": (nd.sum(X * X, over="cols"), ROWS),
    "divided by row sums": (X / nd.sum(X**2, over="cols"), ODD),
    "blocks of the other side": (nd.block_mean((Q.T @ G) ** 2, cols=2), (EVEN[0], Kind.PLAIN)),
    "an average": (nd.ema(X, 0.9), ODD),
    "an average of squares": (nd.ema(X**2, 0.9, debias=True), EVEN),
    "an average from one": (nd.accumulate(X**2, nd.zeros_like(G) + 1), EVEN),
    "a polar factor": (nd.polar(X), ODD),
    "a power": (nd.matrix_power(X @ X.T, -0.5), (ODD[0], ODD[0])),
    "an inverse": (nd.inverse(nd.input_moment @ P), (Along(P, True), Kind.PLAIN)),
    "eigenvalues beside their vectors": (nd.eigenvalues(L), ROWS),
    "divided by eigenvalues": (X / nd.eigenvalues(L), ODD),
    "a spectral step": (nd.spectral.lmo(X), ODD),
    "a spectral norm": (nd.spectral.dual(X), NUMBER),
    "a step of the norm of entries": (nd.max_entry.lmo(X), ODD),
    "a rotated norm": (nd.preconditioned(nd.max_entry, rotate=(Q, P)).lmo(G), PLAIN),
}
LOST = {
    "neither odd nor even": nd.exp(X),
    "an odd value and a number": X + 1,
    "odd and even": X + X**2,
    "another basis": X + nd.prev(Q).T @ G @ P,
    "a basis and none": X * G,
    "sums of signs": nd.sum(X, over="rows"),
    "the larger of signs": nd.maximum(X, 0),
    "a remainder of signs": nd.mod(X, 1),
    "quantiles with signs": nd.quantile(X, 0.5, over="cols"),
    "a choice by signs": nd.where(X > 0, X, 0),
    "a choice of signs and a number": nd.where(X**2 > 1, X, 1),
    "largest with signs": nd.max(X, over="cols"),
    "blocks of directions": nd.block_mean(X**2, cols=2),
    "a basis in a basis": nd.eigenbasis(X @ X.T),
    "a triangle": nd.cholesky(X @ X.T),
    "an upper triangle": nd.triu(X @ X.T),
    "eigenvalues of another basis": X / nd.eigenvalues(G @ G.T),
    "entries in one column": nd.vec(X),
    "a product that does not contract": X @ G.T,
    "what is lost stays lost": nd.tanh(nd.exp(X)),
    "an average of what is lost": nd.ema(nd.exp(X), 0.9),
}


@pytest.mark.parametrize(("expr", "axes"), KNOWN.values(), ids=KNOWN.keys())
def test_coordinates_that_are_kept(expr, axes):
    assert Coordinates({})(expr) == axes


@pytest.mark.parametrize("expr", LOST.values(), ids=LOST.keys())
def test_coordinates_that_are_lost(expr):
    with pytest.raises(Unknown):
        Coordinates({})(expr)


def test_what_is_given_is_believed():
    assert Coordinates({G: ODD})(3 * G) == ODD
    assert plain(nd.sum(G, over="rows").shape, Kind.OPEN) == (Kind.EQUAL, Kind.OPEN)
