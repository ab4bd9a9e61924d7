"""Placement: how a value of a step is held by the processes that hold parts of the weights.

It is inferred as a type is, from what each node states of itself: its shape and its footprint. A
value with an axis that is cut is cut as well, one without is the same on all processes. A sum over
a cut axis is a sum of what processes have. What has a cut axis twice, or needs whole rows where
they are cut, or a factorisation, needs a process that has all of it: its owner. A polar
factor that is written as functions of Gram matrices is none where these are sums of terms: all have
them, and a part of the rest each (see `lowering/chains.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

from normdsl.compiler.lowering.derive import Singular
from normdsl.compiler.lowering.links import OfGram, ProductIn
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import (
    Across,
    Asked,
    Draw,
    Inner,
    MatMul,
    Query,
    Reduce,
    Reducer,
    Transpose,
)
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import MATRIX, Dim, Rank, Shape

#: The symbols of the axes of W that are cut: rows, columns, both, or none.
Axes = frozenset[Dim]


class Held(enum.Enum):
    """How processes hold a value that each computes from its own parts."""

    PARTS = "a part each"
    SAME = "the same each"
    TERMS = "a term of a sum each"
    BOUNDS = "a bound each, of which the largest counts"


@attrs.frozen
class Placement:
    """How a value is held where it is computed on all processes.

    Args:
        held: parts, copies, or terms. over: the cut axes that terms are of; none for others.
    """

    held: Held
    over: Axes = frozenset()

    @property
    def is_reduced(self) -> bool:
        """Whether it is a value only once all processes have combined what they have."""
        return bool(self.over)


def form(shape: Shape, axes: Axes) -> Held | None:
    """Return how a value of some shape is kept among processes; None if it cannot be divided."""
    cut = [dim for dim in (shape.rows, shape.cols) if dim in axes]
    entries = axes and (Dim.MN in (shape.rows, shape.cols) or Dim.K in (shape.rows, shape.cols))
    if entries or len(set(cut)) < len(cut):
        return None
    return Held.PARTS if cut else Held.SAME


def placement(x: Expr, axes: Axes) -> Placement | None:
    """Return how processes hold a value that each computes from what it has of the operands.

    Args:
        x: an expression of a derived step. axes: which axes of W are cut.

    Returns:
        Its placement; None if no process can compute its part without an owner.
    """
    own = form(x.shape, axes)
    if own is None or isinstance(x, Singular):
        return None
    if x.role is not None and not (isinstance(x, OfGram | ProductIn) and axes):
        return None
    if isinstance(x, Query):  # which is answered where the weights are
        return None if x.asked is Asked.HESSIAN else Placement(own)
    if axes and _chooses_length(x):  # which depends on the lengths of the whole matrix
        return None
    if isinstance(x, Draw) and x.shape != MATRIX:  # whose numbers are those of its first entries
        return None
    if isinstance(x, Before | Across) or not x.children:
        return Placement(own)
    if any(form(child.shape, axes) is None for child in x.children):
        return None
    match x:
        case Transpose():
            return Placement(own)
        case MatMul() | ProductIn():
            return _combined(own, Held.TERMS, axes & {x.left.shape.cols})
        case Inner():
            return _combined(own, Held.TERMS, axes & set(_gone(x, x.left.shape)))
        case Reduce():
            how = Held.TERMS if x.reducer is Reducer.SUM else Held.BOUNDS
            return _combined(own, how, axes & set(_gone(x, x.arg.shape)))
    return Placement(own) if _is_at_hand(x, axes) else None


def _chooses_length(x: Expr) -> bool:
    """Return whether a value has a rank for a length that none of its operands has."""
    known = {dim for child in x.children for dim in (child.shape.rows, child.shape.cols)}
    ranks = {dim for dim in (x.shape.rows, x.shape.cols) if isinstance(dim, Rank)}
    return not isinstance(x, Before) and not ranks <= known


def _combined(own: Held, how: Held, over: Axes) -> Placement:
    return Placement(how, over) if over else Placement(own)


def _gone(x: Inner | Reduce, shape: Shape) -> Iterator[Dim]:
    """Yield the axes that a sum or a maximum goes over."""
    for dim, over in ((shape.rows, x.over_rows), (shape.cols, x.over_cols)):
        if over and isinstance(dim, Dim):
            yield dim


def _is_at_hand(x: Expr, axes: Axes) -> bool:
    """Return whether the entries on which an entry of x depends are where that is."""
    for child in x.children:
        far: set[object] = set()
        if x.footprint & (Footprint.ALL | Footprint.COLUMN | Footprint.MATRIX):
            far.add(child.shape.rows)
        if x.footprint & (Footprint.ALL | Footprint.ROW | Footprint.MATRIX):
            far.add(child.shape.cols)
        if far & axes:
            return False
    return not (x.footprint & Footprint.MATRIX and {x.shape.rows, x.shape.cols} & axes)
