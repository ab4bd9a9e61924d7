"""Norms of all layers together: a gauge of the norms that the layers have."""

from __future__ import annotations

from typing import Any

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes import Across, Measure, Shared
from normdsl.expressions.structure import rebuild
from normdsl.expressions.traversal import walk
from normdsl.norms.base import Norm
from normdsl.norms.vectors import Layers
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class OverLayers(Norm):
    """φ_k(‖X_k‖_k) over the layers k, the parameters that step together.

    Rules of one optimizer may each measure their layers by a norm of their own, as in the modular
    norm of Large et al., 2024. Norms over layers with the same `name` (or none) are then one norm,
    combined by one gauge.

    dual = φ*_k(d_k) with d_k = ‖M_k‖_*; the LMO of layer k is a_k lmo(M_k) with a = −lmo_φ(d). For
    φ = ℓ∞ every layer takes its own LMO, and sharp multiplies it by Σ d_k; for φ = ℓ2 sharp is the
    sharp of each layer; for φ = ℓ1 only the layer with the largest d_k moves. Weights of layers
    that depend on their shapes are factors of the norm. Value and dual norm are those of all
    layers, LMO and sharp the share of this one.

    Args:
        base: the norm of each layer. gauge: φ. name: keeps it apart from other norms over layers.
    """

    base: Norm
    gauge: Gauge
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        Shared(Measure.VALUE, self.name, self.gauge)

    @property
    def isometries(self) -> None:
        """None: the law of what layers share is inferred from the definition."""
        return None

    @property
    def joins_layers(self) -> bool:
        return True

    @property
    def dual_norm(self) -> Norm:
        return OverLayers(self.base.dual_norm, self.gauge.dual, self.name)

    def _values(self, x: Expr) -> Layers:
        return Layers(self.base.value(x), Shared(Measure.VALUE, self.name, self.gauge))

    def _duals(self, m: Expr) -> Layers:
        return Layers(self.base.dual(m), Shared(Measure.DUAL, self.name, self.gauge))

    def define_value(self, x: Expr) -> Expr:
        return self.gauge.value(self._values(x))

    def define_dual(self, m: Expr) -> Expr:
        return self.gauge.dual.value(self._duals(m))

    def define_lmo(self, m: Expr) -> Expr:
        duals = self._duals(m)
        return -(duals.map(self.gauge.lmo(duals)) * self.base.lmo(m))

    def define_sharp(self, m: Expr) -> Expr:
        return self.base.sharp(m) if self.gauge.round else super().define_sharp(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        called = "" if self.name is None else f" {self.name}"
        return n.norm(self.base.write(inner, n), f"_layers {self.gauge}{called}")


def over_layers(norm: Norm, by: Gauge, name: str | None = None) -> OverLayers:
    """Return one norm of all layers: the gauge `by` of the norms that the layers have.

    In an optimizer of several rules, such as `nd.route` makes, it is one norm of all their layers,
    whatever norm each rule has for its own; give norms a `name` each to keep them apart.

    Source: Large et al., 2024 (arXiv:2405.14813), and MuonMax of Crawshaw et al., 2025
    (arXiv:2510.09827), whose steps for matrices are the sharp operator of the maximum over layers.

    Args:
        norm: of each layer. by: the gauge that joins them. name: keeps this norm apart from others.

    Raises:
        DeclarationError: for anything but a norm and a gauge.

    Example:
        >>> import normdsl as nd
        >>> norm = nd.over_layers(nd.spectral, nd.lp(float("inf")))
        >>> print(norm)
        ‖‖X‖₂‖_layers ∞
        >>> print(norm.dual_norm)
        ‖‖X‖_*‖_layers 1
    """
    if not (isinstance(norm, Norm) and isinstance(by, Gauge)):
        raise DeclarationError(
            f"combine the layers' {norm!r} by {by if isinstance(by, Gauge) else repr(by)}",
            why="layers are combined by a gauge of one norm",
            hint='use nd.over_layers(nd.spectral, nd.lp(float("inf")))',
        )
    return OverLayers(norm, by, name)


def anonymous(root: Expr) -> Expr:
    """Return an expression whose norms and scalars of all layers have no names."""
    done: dict[Expr, Expr] = {}

    def change(part: Any) -> Any:
        if isinstance(part, OverLayers):
            return OverLayers(rebuild(part.base, (Expr, OverLayers), change), part.gauge)
        return done[part]

    for x in walk(root):
        new: Expr = rebuild(x, (Expr, OverLayers), change)
        done[x] = Across(new.reducer, new.arg, where=x.where) if isinstance(new, Across) else new
    return done[root]
