"""Random draws: as steps, as factors and weights of norms, in averages."""

import normdsl as nd
from grammar.core import (
    Loop,
    leaves,
    make,
    matrix,
    positive,
    psd_left,
    scalar,
    thin,
    thin_right,
    zeros,
)
from grammar.leaves import NORMS, ROTATED_NORMS, multiplied, weighted
from normdsl import G

NORMAL, SIGNS = nd.normal_like(G), nd.signs_like(G, key=1)

CHANCE = [
    *leaves(matrix, NORMAL, SIGNS, G, G),
    *leaves(scalar, nd.sum(NORMAL), nd.sum(SIGNS), nd.inner(G, SIGNS), nd.sum(nd.normal_like(1))),
    *leaves(positive(scalar), nd.abs(nd.sum(NORMAL)), nd.frobenius.value(NORMAL)),
    *leaves(positive(matrix), SIGNS * SIGNS, nd.abs(NORMAL), nd.exp(NORMAL)),
    *leaves(psd_left, NORMAL @ NORMAL.T, nd.inverse(nd.eye_like(G @ G.T) + SIGNS @ SIGNS.T)),
    make(matrix, lambda x: x + NORMAL / 8, matrix),
    make(matrix, lambda x: x * SIGNS, matrix),
    make(matrix, lambda x: nd.normal_like(G @ G.T, key=2) @ x, matrix),
    *(make(matrix, multiplied(n), scalar, matrix) for n in (*NORMS, *ROTATED_NORMS)),
    *(make(matrix, weighted(n), matrix, positive(matrix)) for n in NORMS),
    make(matrix, lambda x: nd.mask(0.5, nd.rows, key=3) * x, matrix),
    make(matrix, lambda x: nd.mask(0.5, over="layers") * x, matrix),
    make(matrix, lambda x, y: nd.where(nd.uniform_like(G) < 0.5, x, y), matrix, matrix),
    make(thin, lambda x: nd.range_basis(x, 2), matrix),
    Loop(thin_right, (nd.random_frame(nd.cols, 2),), (thin_right,), fed=False),
    Loop(matrix, (zeros(matrix), zeros(scalar)), (matrix, positive(scalar))),
]
