"""Links: the nodes of polar factors that are made of Gram matrices, see `chains`."""

from __future__ import annotations

import attrs

from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.expr import Entrywise, Expr, Operation
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.shapes import Shape
from normdsl.schedules.polynomials import Step
from normdsl.show.notation import Notation, Piece


@attrs.frozen
class Link:
    """What follows from one Gram matrix.

    Args:
        kernel: name of the function of it. coefficients: what this is told of polynomials.
        dtype: name of the dtype in which it is computed; None for that of the step.
    """

    kernel: str
    coefficients: tuple[Step, ...] = ()
    dtype: str | None = None


@attrs.frozen(eq=False, repr=False)
class Scaled(Entrywise):
    """x / s for a number s ≥ 0, and 0 where s = 0."""

    internal = True
    jumps_with = ()

    arg: Expr
    by: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """What is scaled."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _notate(self, n: Notation) -> Piece:
        return n.call("scaled", self.arg, self.by)


@attrs.frozen(eq=False, repr=False)
class ProductIn(Operation):
    """The product of two matrices in a dtype, None for that of the step."""

    internal = True
    footprint = Footprint.MATRIX
    role = Role.POLAR
    commutes_with_transpose = False
    jumps_with = ()

    left: Expr
    right: Expr
    dtype: str | None

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """Either factor."""
        return (self.left, self.right)

    def _infer_shape(self) -> Shape:
        return Shape(self.left.shape.rows, self.right.shape.cols)

    def _infer_facts(self) -> Facts:
        is_gram = self.left == transpose(self.right)
        return Facts(symmetric=is_gram, psd=is_gram)

    def _notate(self, n: Notation) -> Piece:
        return n.chain(self.left, self.right)


@attrs.frozen(eq=False, repr=False)
class OfGram(Operation):
    """What a polar factor needs of a Gram matrix: a link of its chain."""

    internal = True
    footprint = Footprint.MATRIX
    role = Role.POLAR
    commutes_with_transpose = True
    zero_with = ()

    arg: Expr
    link: Link

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The Gram matrix."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        return Facts(symmetric=True)

    def _notate(self, n: Notation) -> Piece:
        return n.call("q", self.arg)
