"""Unitarily invariant norms, each a symmetric gauge of the singular values (von Neumann, 1937)."""

from __future__ import annotations

from fractions import Fraction

import attrs

from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.matrix_classes import ORTHOGONAL, TRIVIAL, Isometries
from normdsl.expressions.nodes import SingularLmo, SingularNorm
from normdsl.expressions.nodes.constants import Number
from normdsl.norms.base import Norm
from normdsl.norms.entrywise import Entrywise, frobenius
from normdsl.norms.gauges import Lp, Top, lp
from normdsl.show.notation import Notation, Piece
from normdsl.vocabulary.matrices import polar
from normdsl.vocabulary.reductions import inner


@attrs.frozen(repr=False)
class Unitary(Norm):
    """φ(σ(X)): dual φ*(σ(M)), lmo(U σ Vᵀ) = U lmo_φ(σ) Vᵀ, invariant under X ↦ P X Qᵀ.

    Args:
        gauge: φ.
    """

    gauge: Gauge

    @property
    def isometries(self) -> Isometries:
        return Isometries(ORTHOGONAL, ORTHOGONAL, TRIVIAL)

    @property
    def dual_norm(self) -> Norm:
        return Unitary(self.gauge.dual)

    @property
    def _spectral(self) -> bool:
        return isinstance(self.gauge, Lp) and self.gauge.inverse == 0

    def define_value(self, x: Expr) -> Expr:
        return SingularNorm(x, self.gauge)

    def define_dual(self, m: Expr) -> Expr:
        """Return φ*(σ(m)); the nuclear norm as ⟨m, polar(m)⟩, which shares the polar factor."""
        return inner(m, polar(m)) if self._spectral else SingularNorm(m, self.gauge.dual)

    def define_lmo(self, m: Expr) -> Expr:
        return -polar(m) if self._spectral else SingularLmo(m, self.gauge)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, self.gauge.label("S"))


#: ‖X‖₂ = σ₁: dual Σ σ_i, lmo(M) = −polar(M).
spectral = Unitary(Lp(Fraction(0)))
#: ‖X‖_* = Σ σ_i: dual σ₁, lmo(M) = −u₁ v₁ᵀ.
nuclear = Unitary(Lp(Fraction(1)))


def schatten(p: Number) -> Entrywise | Unitary:
    """Return the Schatten norm (Σ σ_i^p)^(1/p): nuclear for p = 1, spectral for p = ∞.

    For p = 2 it is the Frobenius norm, with all its isometries. With 1/p + 1/q = 1,
    lmo(M) = −U σ^(q−1) Vᵀ / ‖σ‖_q^(q−1).

    Raises:
        DeclarationError: for p < 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.schatten(3), nd.schatten(2))
        ‖X‖_S3 ‖X‖_F
    """
    gauge = lp(p)
    return frobenius if p == 2 else Unitary(gauge)


def ky_fan(k: int) -> Unitary:
    """Return the Ky Fan norm σ₁ + … + σ_k (Fan, 1951).

    Its dual is max(σ₁, Σ σ_i / k); `.dual_norm` has the LMO −U_k V_kᵀ, the polar factor of rank k.

    Raises:
        DeclarationError: if k is not a whole number ≥ 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.ky_fan(2))
        ‖X‖_KF2
        >>> print(nd.ky_fan(2).dual_norm.lmo(nd.G))
        lmo[‖X‖_KF2*](G)
    """
    return Unitary(Top(k))
