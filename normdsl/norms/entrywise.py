"""Norms of the entries: Frobenius, the largest entry, ℓ1, ℓp, sums of the k largest."""

from __future__ import annotations

from fractions import Fraction

import attrs

from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.matrix_classes import ORTHOGONAL, SIGNED_PERMUTATION, Isometries
from normdsl.expressions.nodes.constants import Number
from normdsl.norms.base import Norm
from normdsl.norms.gauges import Lp, Top, lp
from normdsl.norms.vectors import Entries
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class Entrywise(Norm):
    """φ(vec X): dual φ*(vec M), LMO entry by entry, invariant under signed permutations of vec X.

    Args:
        gauge: φ; for ℓ2, every rotation of vec X is an isometry.
    """

    gauge: Gauge

    @property
    def isometries(self) -> Isometries:
        widest = ORTHOGONAL if self.gauge.round else SIGNED_PERMUTATION
        return Isometries(widest, widest, widest)

    @property
    def dual_norm(self) -> Norm:
        return Entrywise(self.gauge.dual)

    def define_value(self, x: Expr) -> Expr:
        return self.gauge.value(Entries(x))

    def define_dual(self, m: Expr) -> Expr:
        return self.gauge.dual.value(Entries(m))

    def define_lmo(self, m: Expr) -> Expr:
        vector = Entries(m)
        return vector.map(self.gauge.lmo(vector))

    def define_sharp(self, m: Expr) -> Expr:
        # ‖M‖_F · M / ‖M‖_F is M, without a division at M = 0.
        return m if self.gauge.round else super().define_sharp(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, self.gauge.label("ℓ"))


#: ‖X‖_F = (Σ x_ij²)^½: self-dual, lmo(M) = −M/‖M‖_F, sharp(M) = M.
frobenius = Entrywise(Lp(Fraction(1, 2)))
#: max |x_ij|, as an operator norm ℓ1 → ℓ∞: dual Σ |m_ij|, lmo(M) = −sign(M).
max_entry = Entrywise(Lp(Fraction(0)))
#: Σ |x_ij|: dual max |m_ij|, lmo(M) = −sign(m_ij) at the largest |m_ij|, shared out among ties.
sum_entries = Entrywise(Lp(Fraction(1)))


def entrywise(p: Number) -> Entrywise:
    """Return the ℓp norm of the entries, (Σ |x_ij|^p)^(1/p) with 1 ≤ p ≤ ∞.

    Raises:
        DeclarationError: for p < 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.entrywise(3))
        ‖X‖_ℓ3
        >>> print(nd.entrywise(3).dual_norm)
        ‖X‖_ℓ3/2
    """
    return Entrywise(lp(p))


def top_entries(k: int) -> Entrywise:
    """Return the norm that sums the k largest |x_ij|.

    `.dual_norm` is max(max |x_ij|, Σ |x_ij| / k).

    Raises:
        DeclarationError: if k is not a whole number ≥ 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.top_entries(10))
        ‖X‖_top10
    """
    return Entrywise(Top(k))
