"""Coordinates: which values are given in those of an eigenbasis, a row or a column for each vector.

Qᵀ X P has a row for each column of Q and a column for each of P. Along such an axis a value is odd
if its entries change sign with the eigenvector, as those of Qᵀ X do, and even if they do not, as
their squares. Products, sums, and functions of entries keep the coordinates of their arguments;
what mixes entries in any other way, or is neither odd nor even, has none that are known.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import singledispatch

import attrs

from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.shapes import Dim, Shape
from normdsl.expressions.traversal import walk


@attrs.frozen
class Along:
    """An axis with an entry for each column of an eigenbasis.

    Args:
        basis: the eigenbasis. odd: whether entries change sign with the column.
    """

    basis: Expr
    odd: bool


class Kind(enum.Enum):
    """An axis that runs along no eigenbasis, as far as known."""

    PLAIN = "that of an ordinary array"
    EQUAL = "along which all entries are equal, or there is one"
    OPEN = "that of a state of which it is not known yet"


Axis = Along | Kind
Axes = tuple[Axis, Axis]


class Unknown(Exception):  # noqa: N818 (not an error: the answer "no coordinates are known")
    """A value is in no coordinates that are known."""


def plain(shape: Shape, axis: Axis = Kind.PLAIN) -> Axes:
    """Return the axes of an array of which nothing is known, those of length one apart."""
    rows, cols = (Kind.EQUAL if d is Dim.ONE else axis for d in (shape.rows, shape.cols))
    return rows, cols


class Coordinates:
    """Finds the coordinates of expressions, each once.

    Args:
        given: those of some, whatever they are made of.
    """

    def __init__(self, given: Mapping[Expr, Axes]) -> None:
        self._done: dict[Expr, Axes | None] = dict(given)

    def __call__(self, expr: Expr) -> Axes:
        """Return the axes of a value.

        Raises:
            Unknown: if there is none that is known.
        """
        for x in walk(expr):
            if x not in self._done:
                self._done[x] = self._found(x)
        axes = self._done[expr]
        if axes is None:
            raise Unknown
        return axes

    def _found(self, expr: Expr) -> Axes | None:
        below = [self._done[child] for child in expr.children]
        try:
            meant = getattr(expr, "definition", None)  # of the operations of norms
            return self(meant) if meant is not None and _chosen(below) else read(expr, below)
        except Unknown:
            return None


@singledispatch
def read(node: Expr, below: Sequence[Axes | None]) -> Axes:
    """Return the axes of a node, given those of its arguments, which may be unknown.

    Raises:
        Unknown: if its own are.
    """
    return along(node, [_known(axes) for axes in below])


def _known(axes: Axes | None) -> Axes:
    if axes is None:
        raise Unknown
    return axes


def _chosen(below: Sequence[Axes | None]) -> bool:
    """Return whether an argument is in coordinates, or may be."""
    return any(axes is None or not {*axes} <= {Kind.PLAIN, Kind.EQUAL} for axes in below)


@singledispatch
def along(node: Expr, axes: Sequence[Axes]) -> Axes:
    """Return the axes of a node, given those of its arguments.

    Raises:
        Unknown: if they are in coordinates, and its value is in none that are known.
    """
    if _chosen(axes):
        raise Unknown
    return plain(node.shape)


@along.register
def _constant(node: Constant, axes: Sequence[Axes]) -> Axes:
    return Kind.EQUAL, Kind.EQUAL


@along.register(nodes.Eigenbasis)
@along.register(nodes.TopSingular)
def _basis(node: Expr, axes: Sequence[Axes]) -> Axes:
    if any(isinstance(axis, Along) for axis in axes[0]):
        raise Unknown
    return Kind.PLAIN, Along(node, odd=True)


@along.register
def _eigenvalues(node: nodes.Eigenvalues, axes: Sequence[Axes]) -> Axes:
    if any(isinstance(axis, Along) for axis in axes[0]):
        raise Unknown
    return Along(nodes.Eigenbasis(node.arg, where=node.where), odd=False), Kind.EQUAL


@along.register
def _transpose(node: n.Transpose, axes: Sequence[Axes]) -> Axes:
    (rows, cols), *_ = axes
    return cols, rows


@along.register(nodes.Polar)
@along.register(nodes.SingularLmo)
@along.register(nodes.MatrixPower)
def _spectral(node: Expr, axes: Sequence[Axes]) -> Axes:
    return axes[0]  # U f(σ) Vᵀ turns, flips and permutes with U and V


@along.register
def _inverse(node: nodes.Inverse, axes: Sequence[Axes]) -> Axes:
    (rows, cols), *_ = axes
    return cols, rows


@along.register
def _singular_norm(node: nodes.SingularNorm, axes: Sequence[Axes]) -> Axes:
    return plain(node.shape)


@along.register
def _matmul(node: n.MatMul, axes: Sequence[Axes]) -> Axes:
    (rows, inner), (other, cols) = axes
    if Kind.OPEN not in (inner, other):
        _summed(_product(inner, other))
    return rows, cols


@along.register(n.Add)
@along.register(nodes.Maximum)
@along.register(nodes.Remainder)
def _add(node: Expr, axes: Sequence[Axes]) -> Axes:
    (rows, cols), (below, beside) = axes
    signed = isinstance(node, n.Add)
    return _sum(rows, below, signed), _sum(cols, beside, signed)


def _sum(x: Axis, y: Axis, signed: bool) -> Axis:
    """Return the axis of a sum; or of a maximum or remainder, which are not signed."""
    if Kind.OPEN in (x, y) or Kind.EQUAL in (x, y):
        other = y if x is Kind.OPEN or (x is Kind.EQUAL and y is not Kind.OPEN) else x
        odd = isinstance(other, Along) and other.odd
        if odd and (not signed or Kind.EQUAL in (x, y)):
            raise Unknown
        return other
    if x != y or (isinstance(x, Along) and x.odd and not signed):
        raise Unknown
    return x


@along.register
def _where(node: nodes.Where, axes: Sequence[Axes]) -> Axes:
    left, right, yes, no = axes
    yes, no = (no if is_constant(node.yes, 0) else yes), (yes if is_constant(node.no, 0) else no)
    rows, cols = (
        _product(_sum(a, b, signed=False), _sum(c, d, signed=True))
        for a, b, c, d in zip(left, right, yes, no, strict=True)
    )
    return rows, cols


@along.register
def _mul(node: n.Mul, axes: Sequence[Axes]) -> Axes:
    (rows, cols), (below, beside) = axes
    return _product(rows, below), _product(cols, beside)


def _product(x: Axis, y: Axis) -> Axis:
    """Return the axis of an entrywise product."""
    if isinstance(x, Along) and isinstance(y, Along) and x.basis == y.basis:
        return Along(x.basis, x.odd != y.odd)
    if x is Kind.EQUAL or y is Kind.EQUAL:
        return y if x is Kind.EQUAL else x
    if Kind.OPEN in (x, y):
        return y if x is Kind.OPEN else x
    if x != y:
        raise Unknown
    return x


@along.register
def _pow(node: n.Pow, axes: Sequence[Axes]) -> Axes:
    p = node.exponent.value if isinstance(node.exponent, Constant) else Fraction(1, 2)
    whole = p.denominator == 1
    return _through(axes[0], whole and p % 2 == 1, whole and p % 2 == 0)


@along.register
def _apply(node: nodes.Apply, axes: Sequence[Axes]) -> Axes:
    return _through(axes[0], node.function.odd, node.function.even)


def _through(axes: Axes, odd: bool, even: bool) -> Axes:
    """Return the axes of a function of entries: odd, even, or neither."""
    if not (odd or even) and any(isinstance(axis, Along) and axis.odd for axis in axes):
        raise Unknown
    rows, cols = (
        Along(axis.basis, odd=False) if even and isinstance(axis, Along) else axis for axis in axes
    )
    return rows, cols


@along.register
def _inner(node: nodes.Inner, axes: Sequence[Axes]) -> Axes:
    (rows, cols), (below, beside) = axes
    return _reduced((_product(rows, below), _product(cols, beside)), node.over_rows, node.over_cols)


@along.register(nodes.Reduce)
@along.register(nodes.KthLargest)
@along.register(nodes.Quantile)
def _reduce(node: nodes.Reduce | nodes.KthLargest | nodes.Quantile, axes: Sequence[Axes]) -> Axes:
    signed = isinstance(node, nodes.Reduce) and node.reducer is nodes.Reducer.SUM
    if not signed and any(isinstance(axis, Along) and axis.odd for axis in axes[0]):
        raise Unknown
    return _reduced(axes[0], node.over_rows, node.over_cols)


@along.register
def _block_mean(node: nodes.BlockMean, axes: Sequence[Axes]) -> Axes:
    pairs = zip(axes[0], (node.rows, node.cols), strict=True)
    if any(size > 1 and isinstance(axis, Along) for axis, size in pairs):
        raise Unknown
    return axes[0]


def _reduced(axes: Axes, over_rows: bool, over_cols: bool) -> Axes:
    rows, cols = (
        _summed(axis) if over else axis
        for axis, over in zip(axes, (over_rows, over_cols), strict=True)
    )
    return rows, cols


def _summed(axis: Axis) -> Axis:
    """Return what is left of an axis that is summed over, whose entries must not change sign."""
    if isinstance(axis, Along) and axis.odd:
        raise Unknown
    return Kind.EQUAL
