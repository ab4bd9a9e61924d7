"""Turning: a state in the coordinates of an eigenbasis is read in those of this step.

Eigenvectors turn from step to step. Where two eigenvalues cross, two of them change places, be it
at once or over some steps, and an old value that stays as it is belongs to another direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from normdsl.expressions.coordinates import Along, Axes, Axis, Coordinates, Kind, Unknown, plain
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Maximum, Source, Stream
from normdsl.expressions.nodes.constants import as_expr, is_constant
from normdsl.expressions.nodes.products import matmul, transpose
from normdsl.expressions.traversal import walk


def settled(
    states: Sequence[Expr], bodies: Sequence[Expr], delivered: Sequence[Expr]
) -> tuple[Axes, ...]:
    """Return the coordinates in which a step reads its old states: none, if it needs none.

    Guessed from those of the new ones, round by round, and taken if the step keeps them.

    Args:
        states: symbols for the old values. bodies: the new ones. delivered: what is read out.
    """
    untouched = tuple(plain(s.shape) for s in states)
    results = (*bodies, *delivered)
    if not any(x.is_basis for root in results for x in walk(root)):
        return untouched
    if _axes(states, untouched, results) is not None:
        return untouched
    guess: tuple[Axes, ...] | None = tuple(plain(s.shape, Kind.OPEN) for s in states)
    for _ in range(1 + len(states)):
        guess = None if guess is None else _axes(states, guess, bodies)
    if guess is None:
        return untouched
    guess = tuple((_closed(rows), _closed(cols)) for rows, cols in guess)
    kept = _axes(states, guess, results)
    return guess if kept is not None and kept[: len(states)] == guess else untouched


def _axes(
    states: Sequence[Expr], given: Sequence[Axes], exprs: Sequence[Expr]
) -> tuple[Axes, ...] | None:
    """Return the coordinates of expressions if those of the states are given; None if unknown."""
    find = Coordinates(dict(zip(states, given, strict=True)))
    try:
        return tuple(map(find, exprs))
    except Unknown:
        return None


def _closed(axis: Axis) -> Axis:
    return Kind.PLAIN if axis is Kind.OPEN else axis


def turned(old: Expr, start: Expr, axes: Axes, last: Callable[[Expr], Expr]) -> Expr:
    """Return an old value in the coordinates of this step.

        T old   with T = Qᵀ Q₋ for what is odd along the columns of Q, with Q₋ = Q a step ago,
                and T = (Qᵀ Q₋)², entry by entry, for what is even,

    and likewise from the right. What is odd is then the same array in other coordinates. What is
    even is mixed by squares of cosines, which sum to one: where columns only change places or
    signs, it is permuted along, and variances of uncorrelated coordinates turn just so. Before the
    first step there was no basis, and nothing is turned.

    Args:
        old: the value. start: what it was before the first step. axes: its coordinates.
        last: makes of a stream its value a step ago, zero at first.
    """
    rows, cols = axes
    result = old
    if isinstance(rows, Along):
        result = matmul(_cosines(transpose(rows.basis), last(rows.basis), rows.odd), result)
    if isinstance(cols, Along):
        result = matmul(result, _cosines(transpose(last(cols.basis)), cols.basis, cols.odd))
    if result is old or is_constant(start, 0):
        return result
    return result + Maximum(2 - Stream(Source.STEP), as_expr(0)) * start


def _cosines(left: Expr, right: Expr, odd: bool) -> Expr:
    product = matmul(left, right)
    return product if odd else product**2
