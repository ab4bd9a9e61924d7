"""Functions of singular values: polar factors, and the norms and LMOs of a gauge."""

from __future__ import annotations

import attrs

from normdsl.expressions.conduct import Role
from normdsl.expressions.facts import NONNEGATIVE, UNIT, Facts
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes.matrices import OfMatrix
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.show.notation import Level, Notation, Piece


@attrs.frozen(eq=False, repr=False)
class Polar(OfMatrix):
    """Polar factor U_r V_rᵀ of X = U S Vᵀ: the partial isometry of the nonzero singular values."""

    slope = 1
    role = Role.POLAR
    commutes_with_transpose = True

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        facts = self.arg.facts
        known = {"symmetric": facts.symmetric, "psd": facts.psd, "orthogonal": facts.orthogonal}
        return attrs.evolve(UNIT, **known)

    def _notate(self, n: Notation) -> Piece:
        return n.call("polar", self.arg)


@attrs.frozen(eq=False, repr=False)
class SingularNorm(OfMatrix):
    """φ(σ(X)), a symmetric gauge of the singular values: a unitarily invariant norm."""

    role = Role.SINGULAR
    commutes_with_transpose = True
    jumps_with = ()

    gauge: Gauge

    def _infer_shape(self) -> Shape:
        return SCALAR

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE

    def _notate(self, n: Notation) -> Piece:
        return n.norm(n(self.arg), self.gauge.label("S"))


@attrs.frozen(eq=False, repr=False)
class SingularLmo(OfMatrix):
    """U diag(lmo_φ(σ)) Vᵀ of X = U diag(σ) Vᵀ, for a symmetric gauge φ: the LMO of φ(σ(X))."""

    slope = -1
    role = Role.SINGULAR
    commutes_with_transpose = True

    gauge: Gauge

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        return Facts(symmetric=self.arg.facts.symmetric)

    def _notate(self, n: Notation) -> Piece:
        name = n.norm(Piece("X", Level.ATOM), self.gauge.label("S"))
        return n.call("lmo", self.arg, sub=name)
