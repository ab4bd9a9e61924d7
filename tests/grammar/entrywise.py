"""Functions of entries, of rows and of columns."""

import operator

import normdsl as nd
from grammar.core import (
    EPS,
    Loop,
    P,
    Q,
    column,
    linear,
    loops,
    make,
    matrix,
    positive,
    row,
    same,
    scalar,
    signed,
)
from grammar.leaves import LEAVES, NORMS, SHAPED, unit, weighted
from normdsl import W

ENTRYWISE = [
    *LEAVES,
    *linear(*SHAPED, *map(positive, SHAPED)),
    *signed(*SHAPED),
    *same(SHAPED, nd.sign, nd.reciprocal, nd.tanh, lambda x: x**3, unit),
    *same(list(map(positive, SHAPED)), nd.sqrt, lambda x: x**P, lambda x: x**Q, lambda x: x**0.25),
    *same(list(map(positive, SHAPED)), nd.reciprocal, lambda x: x + EPS),
    *(make(s, lambda x: x, positive(s)) for s in SHAPED),
    *(make(s, operator.mul, s, s) for s in SHAPED),
    *(make(s, operator.mul, scalar, s) for s in SHAPED),
    *(make(s, operator.truediv, s, positive(scalar)) for s in SHAPED),
    *(make(s, operator.truediv, s, positive(s)) for s in SHAPED),
    *(make(s, nd.maximum, s, s) for s in SHAPED),
    *(make(s, nd.minimum, s, positive(scalar)) for s in SHAPED),
    *(make(s, lambda x: nd.log(x + EPS), positive(s)) for s in SHAPED),
    *(make(positive(s), f, s) for s in SHAPED for f in (nd.abs, nd.exp, lambda x: x * x)),
    *(make(positive(s), operator.mul, positive(s), positive(s)) for s in SHAPED),
    *(make(positive(s), nd.maximum, s, positive(s)) for s in SHAPED),
    *(make(matrix, f, matrix, s) for s in (column, row) for f in (operator.mul, operator.add)),
    make(matrix, operator.truediv, matrix, positive(column)),
    make(matrix, operator.truediv, matrix, positive(row)),
    make(matrix, lambda c, r, x: x / nd.sqrt(c * r), positive(column), positive(row), matrix),
    make(column, lambda x: nd.sum(x, over="cols"), matrix),
    make(column, lambda x: nd.max(x, over="cols"), matrix),
    make(row, lambda x: nd.sum(x, over="rows"), matrix),
    make(row, lambda x: nd.max(x, over="rows"), matrix),
    *(make(scalar, f, matrix) for f in (nd.sum, nd.max)),
    *(make(scalar, nd.inner, s, s) for s in (matrix, column)),
    *(make(positive(scalar), f, matrix) for norm in NORMS for f in (norm.value, norm.dual)),
    *(make(matrix, f, matrix) for norm in NORMS for f in (norm.lmo, norm.sharp)),
    *(make(matrix, weighted(norm), matrix, positive(matrix)) for norm in NORMS),
    make(matrix, weighted(nd.frobenius, P), matrix, positive(matrix)),
    make(matrix, lambda x, d: x / (nd.sqrt(d) + EPS), matrix, positive(matrix)),
    *loops(matrix, scalar, positive(matrix)),
    Loop(matrix, (W,), (matrix,)),
]
