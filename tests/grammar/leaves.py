"""The values a grammar starts from, and the norms and scalings that all of them share."""

from collections.abc import Callable
from typing import Any

import normdsl as nd
from grammar.core import (
    EPS,
    K,
    column,
    flipped,
    leaves,
    left,
    matrix,
    positive,
    psd_left,
    psd_right,
    right,
    row,
    scalar,
    thin,
    thin_right,
)
from normdsl import G, W
from normdsl.expressions.expr import Expr
from normdsl.norms import Combined, operator_norm

#: Norms of entries and of lines; norms that rotations keep; norms that need several of these.
NORMS = (
    nd.frobenius,
    nd.spectral,
    nd.max_entry,
    nd.entrywise(3),
    nd.top_entries(2),
    operator_norm(1, 2),
    nd.row_norm(nd.lp(2), nd.lp(1)),
    nd.rms_to_rms,
)
ROTATED_NORMS = (nd.frobenius, nd.spectral, nd.schatten(3), 2 * nd.ky_fan(2))
COMPOSED_NORMS = (
    nd.infimal(nd.spectral, 2 * nd.max_entry),
    nd.over_layers(nd.rms_to_rms, nd.lp(float("inf"))),
    nd.over_layers(nd.frobenius, nd.lp(2)),
)
#: An iteration, with few steps: runs of programs evaluate it many times.
ITERATED = Combined((nd.spectral, nd.frobenius), nd.lp(1), steps=20)


def unit(x: Expr) -> Expr:
    """x / ‖x‖_F, and 0 at 0."""
    return x * nd.reciprocal(nd.sqrt(nd.sum(x * x)))


def weighted(norm: nd.Norm, power: Any = 0.5) -> Callable[[Expr, Expr], Expr]:
    """Return (x, d) ↦ the LMO of ‖d^power ∘ X‖ at x."""
    return lambda x, d: nd.preconditioned(norm, hadamard=d**power).lmo(x)


def two_sided(norm: nd.Norm, power: Any = 0.5) -> Callable[[Expr, Expr, Expr], Expr]:
    """Return (x, l, r) ↦ the LMO of ‖l^power X r^power‖ at x."""

    def lmo(x: Expr, over: Expr, under: Expr) -> Expr:
        left, right = nd.matrix_power(over, power), nd.matrix_power(under, power)
        return nd.preconditioned(norm, left=left, right=right).lmo(x)

    return lmo


def one_sided(norm: nd.Norm) -> Callable[[Expr, Expr], Expr]:
    """Return (x, l) ↦ the sharp operator of ‖l^½ X‖ at x."""
    return lambda x, over: nd.preconditioned(norm, left=nd.matrix_power(over, 0.5)).sharp(x)


def multiplied(norm: nd.Norm) -> Callable[[Expr, Expr], Expr]:
    """Return (c, x) ↦ the LMO of |c| ‖X‖ at x."""
    return lambda c, x: (nd.abs(c) * norm).lmo(x)


def joined(norm: nd.Norm, other: nd.Norm) -> Callable[[Expr, Expr], Expr]:
    """Return (c, x) ↦ the sharp operator at x of two norms joined, the first one multiplied."""
    return lambda c, x: nd.infimal(nd.abs(c) * norm, other, by=nd.lp(2)).sharp(x)


def stacked(norm: nd.Norm) -> Callable[[Expr, Expr], Expr]:
    """Return (c, x) ↦ the sharp operator at x of |c| ‖X‖, joined over layers."""
    return lambda c, x: nd.over_layers(nd.abs(c) * norm, nd.lp(1)).sharp(x)


def first(x: Expr) -> Expr:
    """What x, made of W, was before the first step."""
    return nd.fix(lambda s: s, x)


SHAPED = (matrix, column, row, scalar)

LEAVES = [
    *leaves(matrix, G, G, G, G, W, W, first(W)),
    *leaves(scalar, nd.loss, 2, nd.inner(G, W), nd.rows, nd.cols, EPS, K, nd.t),
    *leaves(positive(scalar), 1, nd.frobenius.value(G), nd.t, nd.cols, EPS, K, nd.exp(-nd.t)),
    *leaves(positive(scalar), first(nd.frobenius.value(W))),
    *leaves(positive(matrix), G * G, nd.abs(G), W * W, first(W * W), nd.zeros_like(G) + 1),
    *leaves(column, nd.sum(G, over="cols"), nd.sum(W, over="cols")),
    *leaves(row, nd.sum(G, over="rows"), nd.sum(W, over="rows")),
    *leaves(positive(column), nd.sum(G * G, over="cols"), nd.max(nd.abs(G), over="cols")),
    *leaves(positive(row), nd.sum(G * G, over="rows"), nd.max(nd.abs(G), over="rows")),
    *leaves(flipped, G.T, W.T),
    *leaves(left, G @ G.T, W @ G.T, nd.eye_like(G @ G.T)),
    *leaves(right, G.T @ G, G.T @ W, nd.eye_like(G.T @ G)),
    *leaves(thin, nd.top_singular(G @ W.T @ G, 2), G @ nd.top_singular(W.T, 2)),
    *leaves(thin_right, nd.top_singular(G.T, 2), nd.qr(W.T @ nd.top_singular(G, 2))),
    *leaves(psd_left, G @ G.T, W @ W.T, first(W @ W.T), nd.output_moment),
    *leaves(psd_right, G.T @ G, W.T @ W, nd.input_moment),
]
