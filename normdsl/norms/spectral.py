"""The spectral norm, the largest singular value."""

from __future__ import annotations

import math

import attrs

from normdsl.classes import ORTHOGONAL, TRIVIAL, Isometries
from normdsl.expr import Expr
from normdsl.functions import polar
from normdsl.nodes import SchattenNorm
from normdsl.norms.base import Norm
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class Spectral(Norm):
    """‖X‖₂ = σ₁(X): dual Σ σ_i (nuclear), lmo(M) = −polar(M), invariant under X ↦ P X Qᵀ."""

    @property
    def isometries(self) -> Isometries:
        return Isometries(ORTHOGONAL, ORTHOGONAL, TRIVIAL)

    def define_value(self, x: Expr) -> Expr:
        return SchattenNorm(x, math.inf)

    def define_dual(self, m: Expr) -> Expr:
        return SchattenNorm(m, 1.0)

    def define_lmo(self, m: Expr) -> Expr:
        return -polar(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, "₂")


spectral = Spectral()
