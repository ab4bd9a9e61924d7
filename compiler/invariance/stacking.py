"""Stacking: what acts on the entries of a matrix in one column is P ⊗ Q, or what acts on entries.

vec(P X Qᵀ) = (P ⊗ Q) vec(X) row after row, and P ⊗ Q is invertible, orthogonal, diagonal or a
permutation where both are; vec(E ∘ X) = diag(vec E) vec(X).
"""

from __future__ import annotations

import attrs
import sympy

from normdsl.compiler.invariance.laws import ANY, FIXED, ONE, Frame, Index, Law, index
from normdsl.expressions.matrix_classes import GENERAL, smallest
from normdsl.expressions.shapes import Dim, Length


@attrs.frozen
class Kronecker:
    """P ⊗ Q as an element that acts on entries in one column.

    Args:
        rows: P, to the power 1, or fixed. cols: Q likewise.
    """

    rows: Index
    cols: Index

    def __str__(self) -> str:
        rows, cols = (ix.element or "I" for ix in (self.rows, self.cols))
        return f"({rows}⊗{cols})"


def stacked(rows: Index, cols: Index) -> Index | None:
    """Return what acts on vec(X) where X is moved by P and Q; None if it has no form that is known.

    That is so of frames, and of different powers, which are no power of one product.
    """
    if ANY in (rows, cols) or rows == cols == FIXED:
        return ANY if ANY in (rows, cols) else FIXED
    moving = [ix for ix in (rows, cols) if ix != FIXED]
    powers = {ix.power for ix in moving if not ix.cls.orthogonal}
    cls = smallest(*(ix.cls for ix in moving))
    power = powers.pop() if powers else ONE
    mixed = cls is GENERAL and abs(power) != 1
    if powers or mixed or any(isinstance(ix.element, Frame) for ix in moving):
        return None
    return index(Kronecker(_plain(rows), _plain(cols)), cls, power)


def _plain(ix: Index) -> Index:
    return ix if ix == FIXED else Index(ix.element, ix.cls)


def unstacked(ix: Index) -> tuple[Index, Index] | None:
    """Return what acts on rows and columns where `ix` acts on a column of all entries, if known."""
    if ix is ANY or ix == FIXED:
        return ix, ix
    if not isinstance(ix.element, Kronecker):
        return None
    return _raised(ix.element.rows, ix.power), _raised(ix.element.cols, ix.power)


def _raised(ix: Index, power: sympy.Expr) -> Index:
    return ix if ix == FIXED else index(ix.element, ix.cls, power)


def acting(weights: Law, dim: Length) -> Index:
    """Return what acts on an axis with an entry for each row, column or entry of W, if known."""
    if dim is not Dim.MN:
        return weights.rows if dim is Dim.M else weights.cols if dim is Dim.N else FIXED
    if weights.rows == weights.cols == FIXED:
        return weights.entries
    return (stacked(weights.rows, weights.cols) if weights.entries == FIXED else None) or FIXED
