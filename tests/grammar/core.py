"""Sorts, hyper-parameters and productions: what a grammar of declarations is made of."""

from __future__ import annotations

import enum
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs

import normdsl as nd
from normdsl.expressions import nodes
from normdsl.expressions.domains import FRACTION, LOSS_VALUE, NON_NEGATIVE, POSITIVE, REAL
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, SCALAR, STACK, Dim, Shape

FLIPPED = MATRIX.transposed
COLUMN, ROW = Shape(Dim.M, Dim.ONE), Shape(Dim.ONE, Dim.N)


class Kind(enum.Enum):
    """What is known of a value besides its shape."""

    ANY = "any"
    NONNEGATIVE = "≥ 0"
    PSD = "psd"
    PRIMAL = "moves like W"
    DUAL = "moves like G"
    SQUARED = "moves like a square of G, ≥ 0"
    STILL = "does not move"


@attrs.frozen
class Sort:
    """The type of a value in the grammar."""

    shape: Shape
    kind: Kind = Kind.ANY


scalar, matrix, flipped, left, right, column, row = (
    Sort(s) for s in (SCALAR, MATRIX, FLIPPED, LEFT, RIGHT, COLUMN, ROW)
)
thin, thin_right = (Sort(Shape(dim, nodes.rank_of(as_expr(2)))) for dim in (Dim.M, Dim.N))
psd_left, psd_right = Sort(LEFT, Kind.PSD), Sort(RIGHT, Kind.PSD)
stack, psd_stack = Sort(STACK), Sort(Shape(Dim.MN, Dim.MN), Kind.PSD)
primal, dual, still = (Sort(MATRIX, k) for k in (Kind.PRIMAL, Kind.DUAL, Kind.STILL))
number = Sort(SCALAR, Kind.STILL)
second = Sort(MATRIX, Kind.SQUARED)
metric_left, metric_right = Sort(LEFT, Kind.SQUARED), Sort(RIGHT, Kind.SQUARED)


def positive(sort: Sort) -> Sort:
    return Sort(sort.shape, Kind.NONNEGATIVE)


#: One hyper-parameter of every domain, and those that optimizers have; with its default.
PARAMETERS = {
    "lr": (POSITIVE, 0.05),
    "eps": (NON_NEGATIVE, 0.1),
    "decay": (NON_NEGATIVE, 0.1),
    "beta": (FRACTION, 0.9),
    "gamma": (FRACTION, 0.6),
    "p": (NON_NEGATIVE, 0.5),
    "q": (REAL, 0.3),
    "k": (POSITIVE, 0.7),
    "floor": (LOSS_VALUE, 0.2),
}
LR, EPS, DECAY, BETA, GAMMA, P, Q, K, FLOOR = (
    nodes.Param(name, domain) for name, (domain, _) in PARAMETERS.items()
)

#: A value, given the states in scope.
Term = Callable[[tuple[Expr, ...]], Expr]
#: Draws a term of a sort, with more states in scope.
Below = Callable[..., Term]


@attrs.frozen(eq=False)
class Operation:
    """A production: how a value of one sort is built from values of others."""

    makes: Sort
    build: Callable[..., Expr]
    parts: tuple[Sort, ...] = ()

    def draw(self, below: Below) -> Term:
        terms = [below(part) for part in self.parts]
        return lambda scope: self.build(*(term(scope) for term in terms))


@attrs.frozen(eq=False)
class Loop:
    """A production: the first state of a recursion whose bodies are drawn.

    Args:
        makes: the sort of the first state. starts: the initial values. states: the sorts.
        fed: whether an input is added to what is drawn; else most states stay at zero.
    """

    makes: Sort
    starts: tuple[Expr, ...]
    states: tuple[Sort, ...]
    fed: bool = True
    parts = (None,)

    def draw(self, below: Below) -> Term:
        kept = [below(sort, *self.states) for sort in self.states]
        inputs = [below(sort) for sort in self.states] if self.fed else []

        def step(scope: tuple[Expr, ...], states: tuple[Expr, ...]) -> tuple[Expr, ...]:
            bodies = tuple(term((*scope, *states)) for term in kept)
            if not self.fed:
                return bodies
            return tuple(GAMMA * x + new(scope) for x, new in zip(bodies, inputs, strict=True))

        return lambda scope: nd.fix(lambda *states: step(scope, states), self.starts)[0]


@attrs.frozen(eq=False)
class Variable:
    """A state in scope."""

    place: int

    def draw(self, below: Below) -> Term:
        return lambda scope: scope[self.place]


def make(sort: Sort, build: Callable[..., Expr], *parts: Sort) -> Operation:
    return Operation(sort, build, parts)


def leaves(sort: Sort, *values: Any) -> list[Operation]:
    return [make(sort, partial(as_expr, v)) for v in values]


def same(sorts: Sequence[Sort], *functions: Callable[..., Expr]) -> list[Operation]:
    """Return productions that keep the sort of their one argument."""
    return [make(s, f, s) for s in sorts for f in functions]


def zeros(sort: Sort) -> Expr:
    return Constant(nd.expressions.nodes.constants.exact(0), sort.shape)


def loops(*sorts: Sort) -> Iterator[Loop]:
    """Return recursions over one state, and over two coupled ones."""
    for s in sorts:
        yield Loop(s, (zeros(s),), (s,))
        yield Loop(s, (zeros(s),), (s,), fed=False)
    for s, other in itertools.permutations(sorts, 2):
        if matrix.shape in (s.shape, other.shape):
            yield Loop(s, (zeros(s), zeros(other)), (s, other))


def linear(*sorts: Sort) -> Iterator[Operation]:
    """Return what every sort is closed under: sums, multiples ≥ 0, averages, past values."""
    for s in sorts:
        yield make(s, operator.add, s, s)
        yield make(s, lambda x: x + EPS * x, s)
        yield make(s, lambda x: 2 * x, s)
        yield make(s, lambda x: nd.ema(x, BETA), s)
        yield make(s, lambda x: nd.ema(x, GAMMA, debias=True), s)
        yield make(s, lambda x: nd.momentum(x, BETA, GAMMA), s)
        yield make(s, lambda x: nd.momentum(x, BETA, normalized=False), s)
        yield make(s, nd.accumulate, s)
        yield make(s, nd.prev, s)


def difference(x: Expr, y: Expr) -> Expr:
    """x − y; x if they are the same, for a rule that never moves is none."""
    return x if x == y else x - y


def signed(*sorts: Sort) -> Iterator[Operation]:
    """Return what real sorts are closed under besides: differences and real multiples."""
    for s in sorts:
        yield make(s, difference, s, s)
        yield make(s, operator.neg, s)
        yield make(s, lambda x: Q * x, s)
