"""The Frobenius norm."""

from __future__ import annotations

import attrs

from normdsl.classes import ORTHOGONAL, Isometries
from normdsl.expr import Expr
from normdsl.functions import inner, reciprocal, sqrt
from normdsl.norms.base import Norm
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class Frobenius(Norm):
    """‖X‖_F = (Σ x_ij²)^½: self-dual, lmo(M) = −M/‖M‖_F, sharp(M) = M, every rotation of vec X."""

    @property
    def isometries(self) -> Isometries:
        return Isometries(ORTHOGONAL, ORTHOGONAL, ORTHOGONAL)

    def define_value(self, x: Expr) -> Expr:
        return sqrt(inner(x, x))

    def define_dual(self, m: Expr) -> Expr:
        return sqrt(inner(m, m))

    def define_lmo(self, m: Expr) -> Expr:
        return -(m * reciprocal(sqrt(inner(m, m))))

    def define_sharp(self, m: Expr) -> Expr:
        return m

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, "_F")


frobenius = Frobenius()
