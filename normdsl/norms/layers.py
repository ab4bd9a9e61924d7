"""Norms of all layers together: a gauge of the norms that the layers have."""

from __future__ import annotations

import attrs

from normdsl.errors import DeclarationError
from normdsl.expr import Expr
from normdsl.gauge import Gauge
from normdsl.norms.base import Norm
from normdsl.norms.vectors import Entries
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class OverLayers(Norm):
    """φ_k(‖X_k‖) over the layers k, the parameters that step together.

    dual = φ*_k(d_k) with d_k = ‖M_k‖_*; the LMO of layer k is a_k lmo(M_k) with a = −lmo_φ(d). For
    φ = ℓ∞ every layer takes its own LMO, and sharp multiplies it by Σ d_k; for φ = ℓ2 sharp is the
    sharp of each layer; for φ = ℓ1 only the layer with the largest d_k moves. Weights of layers
    that depend on their shapes are factors of the norm. Value and dual norm are those of all
    layers, LMO and sharp the share of this one.

    Args:
        base: the norm of each layer. gauge: φ.
    """

    base: Norm
    gauge: Gauge

    @property
    def isometries(self) -> None:
        """None: what layers share is a scalar of the definition, which is typed."""
        return None

    @property
    def dual_norm(self) -> Norm:
        return OverLayers(self.base.dual_norm, self.gauge.dual)

    def define_value(self, x: Expr) -> Expr:
        return self.gauge.value(Entries(self.base.value(x), "layers"))

    def define_dual(self, m: Expr) -> Expr:
        return self.gauge.dual.value(Entries(self.base.dual(m), "layers"))

    def define_lmo(self, m: Expr) -> Expr:
        duals = Entries(self.base.dual(m), "layers")
        return -(duals.map(self.gauge.lmo(duals)) * self.base.lmo(m))

    def define_sharp(self, m: Expr) -> Expr:
        return self.base.sharp(m) if self.gauge.round else super().define_sharp(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(self.base.write(inner, n), f"_layers {self.gauge}")


def over_layers(norm: Norm, by: Gauge) -> OverLayers:
    """Return the norm of all layers by a gauge: nd.over_layers(nd.spectral, nd.lp(float("inf"))).

    Large et al., 2024 (arXiv:2405.14813), and MuonMax of Crawshaw et al., 2025 (arXiv:2510.09827),
    whose steps for matrices are the sharp operator of the maximum over layers.
    """
    if not (isinstance(norm, Norm) and isinstance(by, Gauge)):
        raise DeclarationError(
            f"combine the layers' {norm!r} by {by!r}",
            why="layers are combined by a gauge of one norm",
            hint='use nd.over_layers(nd.spectral, nd.lp(float("inf")))',
        )
    return OverLayers(norm, by)
