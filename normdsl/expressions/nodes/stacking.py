"""Stacking: the entries of a matrix in one column, for statistics on pairs of entries, and back."""

from __future__ import annotations

import attrs

from normdsl.errors import ShapeError
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.nodes.matrices import OfMatrix
from normdsl.expressions.shapes import MATRIX, STACK, Shape
from normdsl.show.notation import Notation, Piece


@attrs.frozen(eq=False, repr=False)
class Stacking(OfMatrix):
    """A change of the places of entries alone: linear, and undone by another one."""

    role = None
    commutes_with_transpose = False
    jumps_with = ()

    def _infer_facts(self) -> Facts:
        return Facts(self.arg.facts.low, self.arg.facts.high)


@attrs.frozen(eq=False, repr=False)
class Vec(Stacking):
    """The entries of an m×n matrix in one column, row after row: X_ij at the place (i − 1) n + j.

    vec(A X Bᵀ) = (A ⊗ B) vec(X).
    """

    def _infer_shape(self) -> Shape:
        if self.arg.shape != MATRIX:
            raise ShapeError(
                f"stack the entries of {self.arg.shape.phrase}",
                at=self.arg,
                why="a column of mn entries is made of an m×n matrix, the shape of W",
                hint="transpose an n×m one with .T",
            )
        return STACK

    def simpler(self) -> Expr | None:
        """Vec(unvec(v)) = v; equal entries stay equal."""
        if isinstance(self.arg, Constant):
            return Constant(self.arg.value, STACK)
        return self.arg.arg if isinstance(self.arg, Unvec) else None

    def _notate(self, n: Notation) -> Piece:
        return n.call("vec", self.arg)


@attrs.frozen(eq=False, repr=False)
class Unvec(Stacking):
    """The m×n matrix whose entries a column of mn holds, row after row."""

    def _infer_shape(self) -> Shape:
        if self.arg.shape != STACK:
            raise ShapeError(
                f"take {self.arg.shape.phrase} for the entries of a matrix",
                at=self.arg,
                why="an m×n matrix is made of a column of mn entries",
                hint="make one with nd.vec(X), perhaps multiplied by an mn×mn matrix",
            )
        return MATRIX

    def simpler(self) -> Expr | None:
        """Unvec(vec(X)) = X; equal entries stay equal."""
        if isinstance(self.arg, Constant):
            return Constant(self.arg.value, MATRIX)
        return self.arg.arg if isinstance(self.arg, Vec) else None

    def _notate(self, n: Notation) -> Piece:
        return n.call("unvec", self.arg)
