"""The largest absolute entry, ℓ∞; as an operator norm, ℓ1 → ℓ∞."""

from __future__ import annotations

import attrs

from normdsl import functions as f
from normdsl.classes import SIGNED_PERMUTATION, Isometries
from normdsl.expr import Expr
from normdsl.norms.base import Norm
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class MaxEntry(Norm):
    """‖X‖_∞ = max |x_ij|: dual Σ |x_ij|, lmo(M) = −sign(M), signed permutations of entries."""

    @property
    def isometries(self) -> Isometries:
        return Isometries(SIGNED_PERMUTATION, SIGNED_PERMUTATION, SIGNED_PERMUTATION)

    def define_value(self, x: Expr) -> Expr:
        return f.max(f.abs(x))

    def define_dual(self, m: Expr) -> Expr:
        return f.sum(f.abs(m))

    def define_lmo(self, m: Expr) -> Expr:
        return -f.sign(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, "∞")


max_entry = MaxEntry()
