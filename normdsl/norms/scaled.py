"""Positive multiples of norms, and the root-mean-square norms of the field."""

from __future__ import annotations

from typing import Any

import attrs

from normdsl.classes import Isometries
from normdsl.errors import DeclarationError, ShapeError
from normdsl.expr import Expr, as_expr
from normdsl.functions import reciprocal, sqrt
from normdsl.graph import walk
from normdsl.nodes import Param, Source, Stream
from normdsl.norms.base import Norm
from normdsl.norms.entrywise import frobenius, max_entry
from normdsl.norms.lines import operator_norm
from normdsl.norms.unitary import spectral
from normdsl.recursion import State
from normdsl.shapes import SCALAR
from normdsl.show.notation import Notation, Piece
from normdsl.streams import cols, rows


@attrs.frozen(repr=False)
class Scaled(Norm):
    """c ‖X‖ with c > 0: dual ‖M‖_*/c, lmo(M)/c, sharp(M)/c².

    Args:
        factor: c, a scalar known to be ≥ 0. base: the norm.
    """

    factor: Expr
    base: Norm

    def __attrs_post_init__(self) -> None:
        if self.factor.shape != SCALAR:
            raise ShapeError(
                f"multiply a norm by a {self.factor.shape}",
                at=self.factor,
                why="a multiple of a norm has one factor",
                hint="use nd.preconditioned(norm, hadamard=…) for weights of the entries",
            )
        if not self.factor.facts.nonnegative or self.factor == as_expr(0):
            raise DeclarationError(
                "multiply a norm by this factor",
                at=self.factor,
                why="a multiple of a norm is one only if the factor is above 0",
                hint="use a positive number, an expression known to be ≥ 0, or nd.Positive",
            )

    @property
    def isometries(self) -> Isometries | None:
        """Those of the base, if the factor is the same in both runs."""
        moving = any(
            isinstance(x, State)
            or (isinstance(x, Stream) and x.source not in (Source.ROWS, Source.COLS))
            or (isinstance(x, Param) and x.domain.loss_unit)
            for x in walk(self.factor)
        )
        return None if moving else self.base.isometries

    @property
    def dual_norm(self) -> Norm:
        return Scaled(1 / self.factor, self.base.dual_norm)

    def define_value(self, x: Expr) -> Expr:
        return self.factor * self.base.value(x)

    def define_dual(self, m: Expr) -> Expr:
        return reciprocal(self.factor) * self.base.dual(m)

    def define_lmo(self, m: Expr) -> Expr:
        return reciprocal(self.factor) * self.base.lmo(m)

    def define_sharp(self, m: Expr) -> Expr:
        return reciprocal(self.factor) ** 2 * self.base.sharp(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.product(self.factor, self.base.write(inner, n), entrywise=False)


def scaled(factor: Any, base: Norm) -> Norm:
    """Return factor · norm, as `factor * norm` does; factors of factors are multiplied."""
    if isinstance(base, Scaled):
        return scaled(as_expr(factor) * base.factor, base.base)
    return Scaled(as_expr(factor), base)


#: Root mean square of the entries, ‖X‖_F / √(m n); for vectors, ‖x‖₂ / √length.
rms = Scaled(sqrt(1 / (rows * cols)), frobenius)
#: RMS → RMS operator norm, √(n/m) ‖X‖₂ (Bernstein and Newhouse, 2024, arXiv:2410.21265).
rms_to_rms = Scaled(sqrt(cols / rows), spectral)
#: ℓ1 → RMS, the largest RMS of a column: √(1/m) max_j ‖x_j‖₂.
one_to_rms = Scaled(sqrt(1 / rows), operator_norm(1, 2))
#: RMS → ℓ∞, √n max_i ‖x_i‖₂ over the rows.
rms_to_inf = Scaled(sqrt(cols), operator_norm(2, float("inf")))
#: n times the largest entry, the norm under which Scion's sign steps are 1/n long.
scaled_max_entry = Scaled(cols, max_entry)
