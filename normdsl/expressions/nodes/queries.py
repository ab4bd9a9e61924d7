"""Queries: what a rule asks of the loss at a point of its own, besides the gradient at W."""

from __future__ import annotations

import enum

import attrs

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.leaves import Source, Stream
from normdsl.expressions.origins import Origin, joined
from normdsl.expressions.shapes import MATRIX, SCALAR, Dim, Shape
from normdsl.show.notation import Notation, Piece


class Asked(enum.Enum):
    """What is asked of the loss f at a point P."""

    GRADIENT = "gradient"
    LOSS = "loss"
    #: The product H V of the Hessian with a direction V.
    HESSIAN_PRODUCT = "Hessian product"
    #: The product Jᵀ Q J V, J being the Jacobian of the model's outputs, Q the Hessian by these.
    GAUSS_NEWTON_PRODUCT = "Gauss-Newton product"
    #: The Hessian in the entries of one layer, mn×mn.
    HESSIAN = "Hessian"


_ORIGINS = {
    Asked.GRADIENT: Origin.GRADIENT,
    Asked.LOSS: Origin.LOSS,
    Asked.HESSIAN_PRODUCT: Origin.GRADIENT,
    Asked.GAUSS_NEWTON_PRODUCT: Origin.GRADIENT,
    Asked.HESSIAN: Origin.GRADIENT,
}
#: What has a direction.
_PRODUCTS = (Asked.HESSIAN_PRODUCT, Asked.GAUSS_NEWTON_PRODUCT)
_SHAPES = {Asked.LOSS: SCALAR, Asked.HESSIAN: Shape(Dim.MN, Dim.MN)}


_SYMBOLS = {
    Asked.GRADIENT: "∇f",
    Asked.LOSS: "f",
    Asked.HESSIAN_PRODUCT: "∇²f",
    Asked.GAUSS_NEWTON_PRODUCT: "GN",
    Asked.HESSIAN: "∇²f",
}


@attrs.frozen(eq=False, repr=False)
class Query(Expr):
    """∇f(P), f(P), ∇²f(P) V or ∇²f(P), on the sample of the step; all layers move to P together.

    Args:
        asked: which of them. at: the point P, m×n.
        along: the direction V, m×n; of a product alone.
        fresh: whether it is on a sample of its own, one for all such queries of the step.
    """

    footprint = Footprint.LAYERS
    role = None
    commutes_with_transpose = True
    jumps_with = ()

    asked: Asked
    at: Expr
    along: Expr | None = None
    fresh: bool = False

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The direction of a Hessian product."""
        return () if self.along is None else (self.along,)

    def simpler(self) -> Expr | None:
        """Return the gradient or the loss, which are known, for those at W."""
        if self.fresh or self.at != Stream(Source.WEIGHTS, where=None):
            return None
        known = {Asked.GRADIENT: Source.GRADIENT, Asked.LOSS: Source.LOSS}
        source = known.get(self.asked)
        return None if source is None else Stream(source, where=self.where)

    def _infer_shape(self) -> Shape:
        if (self.along is None) is (self.asked in _PRODUCTS):
            raise DeclarationError(
                f"ask for a {self.asked.value}",
                at=self.at,
                why="a product with the Hessian, or with the Gauss-Newton matrix, has a "
                "direction, and nothing else has one",
                hint="write nd.hessian_product(V, at=P), nd.gradient(at=P) or nd.loss_at(P)",
            )
        for x, what in ((self.at, "the point"), (self.along, "the direction")):
            if x is not None and x.shape != MATRIX:
                raise ShapeError(
                    f"ask for a {self.asked.value} at {self.at}",
                    at=x,
                    why=f"{what} has shape {x.shape}, but the loss is a function of m×n weights",
                    hint="pass a point such as W + rho * G, and a direction such as G",
                )
        return _SHAPES.get(self.asked, MATRIX)

    def _infer_facts(self) -> Facts:
        return Facts(symmetric=self.asked is Asked.HESSIAN)

    def _infer_origins(self) -> Origin:
        return joined(self.children) | _ORIGINS[self.asked]

    def _notate(self, n: Notation) -> Piece:
        symbol = _SYMBOLS[self.asked] + ("′" if self.fresh else "")
        called = n.call(symbol, self.at)
        return called if self.along is None else n.chain(called, self.along)
