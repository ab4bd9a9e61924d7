"""Matrix products and transposes."""

from __future__ import annotations

import math

import attrs

from normdsl.errors import ShapeError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr, Factor, Operation, Product, simplest
from normdsl.expressions.facts import NONNEGATIVE, UNKNOWN, Facts
from normdsl.expressions.nodes.arithmetic import Mul, diagonal_of, mul
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.expressions.symmetry import congruence
from normdsl.show.notation import Notation, Piece
from normdsl.source import Operands


@attrs.frozen(eq=False, repr=False)
class MatMul(Operation):
    """Matrix product, x y."""

    footprint = Footprint.MATRIX
    role = None
    commutes_with_transpose = False
    jumps_with = ()

    left: Expr
    right: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """Either factor."""
        return (self.left, self.right)

    @property
    def as_product(self) -> Product:
        """Both factors."""
        return Product((), (Factor(self.left), Factor(self.right)))

    def _infer_shape(self) -> Shape:
        if self.left.shape.cols != self.right.shape.rows or SCALAR in (
            self.left.shape,
            self.right.shape,
        ):
            raise ShapeError(
                f"form the matrix product of {self.left.shape.phrase} and "
                f"{self.right.shape.phrase}",
                at=Operands(self.left, self.right, self.where),
                why="a matrix product needs two matrices, the first with as many columns as the "
                "second has rows",
                hint="transpose one with .T, or use * for the entrywise product",
            )
        return Shape(self.left.shape.rows, self.right.shape.cols)

    def _infer_facts(self) -> Facts:
        turns = self.left.facts.orthogonal and self.right.facts.orthogonal
        return attrs.evolve(self._cone(), orthogonal=turns)

    def _cone(self) -> Facts:
        """Return what is known of entries, symmetry and definiteness."""
        both = self.left.facts.nonnegative and self.right.facts.nonnegative
        if transpose(self.left) == self.right or self.left == transpose(self.right):
            return Facts(0.0 if both else -math.inf, symmetric=True, psd=True)
        middle = congruence(self) if self.shape.square else None
        if middle is None:
            return NONNEGATIVE if both else UNKNOWN
        return Facts(0.0 if both else -math.inf, symmetric=True, psd=middle.psd)

    def simpler(self) -> Expr | None:
        """I x = x I = x; diag(v) x and x diag(v) are rows and columns of x times numbers."""
        x, y = self.left, self.right
        if x.is_identity or y.is_identity:
            return y if x.is_identity else x
        over, beside = diagonal_of(x), diagonal_of(y)
        if over is not None:
            return mul(over, y)
        return None if beside is None else mul(x, transpose(beside))

    def _notate(self, n: Notation) -> Piece:
        return n.chain(self.left, self.right)


@attrs.frozen(eq=False, repr=False)
class Transpose(Operation):
    """Transpose, xᵀ."""

    footprint = Footprint.MATRIX
    role = None
    commutes_with_transpose = True
    jumps_with = ()

    arg: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """What is transposed."""
        return (self.arg,)

    @property
    def terms(self) -> tuple[Expr, ...]:
        """The transposes of the terms of a sum."""
        return tuple(term.T for term in self.arg.terms)

    @property
    def as_product(self) -> Product | None:
        """The transposes of the factors of a product, the last one first."""
        found = self.arg.as_product
        if found is None:
            return None
        return Product(found.scalars, tuple(f.transposed for f in reversed(found.factors)))

    def _infer_shape(self) -> Shape:
        return self.arg.shape.transposed

    def _infer_facts(self) -> Facts:
        return self.arg.facts

    def simpler(self) -> Expr | None:
        """(xᵀ)ᵀ = x, (c x)ᵀ = c xᵀ for a number c, and xᵀ = x where x is symmetric."""
        return _simpler_transpose(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return n.transposed(self.arg)


def matmul(left: Expr, right: Expr) -> Expr:
    """Return the matrix product left · right, leaving out an identity."""
    return simplest(MatMul(left, right))


def transpose(arg: Expr) -> Expr:
    """Return the transpose; twice is none, numbers come out, symmetric nodes are their own."""
    found = _simpler_transpose(arg)
    return Transpose(arg) if found is None else found


def _simpler_transpose(arg: Expr) -> Expr | None:
    if isinstance(arg, Transpose):
        return arg.arg
    if isinstance(arg, Constant):
        return Constant(arg.value, arg.dims.transposed)
    if isinstance(arg, Mul) and arg.left.shape == SCALAR:
        return mul(arg.left, transpose(arg.right))
    return arg if arg.shape == SCALAR or arg.facts.symmetric else None
