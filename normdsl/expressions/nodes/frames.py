"""Frames: orthonormal columns, of a matrix, of the identity or of cosines, as many as chosen."""

from __future__ import annotations

import attrs

from normdsl.errors import DomainError, ShapeError
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.domains import RANK, SHARE
from normdsl.expressions.expr import Expr, Leaf, Operation
from normdsl.expressions.facts import ORTHOGONAL, UNIT, Facts
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.nodes.leaves import Param
from normdsl.expressions.nodes.matrices import OfMatrix
from normdsl.expressions.shapes import SCALAR, Dim, Length, Rank, Shape
from normdsl.show.notation import Level, Notation, Piece


@attrs.frozen(eq=False, repr=False)
class Qr(OfMatrix):
    """Orthonormal columns Q of X = Q R, R upper triangular with a diagonal ≥ 0.

    The first k columns of Q span those of X, for every k, if X has full rank; columns that depend
    on those before them are completed in no particular way.
    """

    role = Role.COLUMNS
    commutes_with_transpose = False
    zero_with = ()

    def _infer_shape(self) -> Shape:
        shape = self.arg.shape
        if not (shape.square or isinstance(shape.cols, Rank)) or shape == SCALAR:
            raise ShapeError(
                f"make the columns of {shape.phrase} orthonormal",
                at=self.arg,
                why="only as many columns as there are rows can be, or fewer",
                hint="choose how many: nd.range_basis(X, rank) spans the range of X",
            )
        return shape

    def _infer_facts(self) -> Facts:
        return attrs.evolve(UNIT, orthogonal=self.arg.shape.square)

    def _notate(self, n: Notation) -> Piece:
        return n.call("qr", self.arg)


@attrs.frozen(eq=False, repr=False)
class TopSingular(OfMatrix):
    """The left singular vectors of the `rank` largest singular values of X, as columns U_r.

    Min(rank, m, n) of them, the largest value first; the sign of a column is arbitrary. A state in
    their coordinates, as an average of U_rᵀ G, turns along (`normdsl.expressions.turning`).
    """

    role = Role.SUBSPACE
    commutes_with_transpose = False
    zero_with = ()
    is_basis = True

    rank: Expr
    share: bool = False

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The matrix."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        shape = self.arg.shape
        if Dim.ONE in (shape.rows, shape.cols):
            raise ShapeError(
                f"take the singular vectors of {shape.phrase}",
                at=self.arg,
                why="a single row or column has one, itself",
                hint="divide it by its norm",
            )
        return Shape(shape.rows, legal_rank(Rank(self.rank, self.share)))

    def _infer_facts(self) -> Facts:
        return UNIT

    def _notate(self, n: Notation) -> Piece:
        return n.call("top", self.arg, sub=Piece(n(self.rank).text, Level.ATOM))


@attrs.frozen(eq=False, repr=False)
class Selection(OfMatrix):
    """The columns E of the identity at the `rank` largest entries of a column, the largest first.

    Eᵀ X are the rows of X with the largest scores. Of equal scores the first one is taken.
    """

    role = None
    commutes_with_transpose = False
    zero_with = ()

    rank: Expr
    share: bool = False

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The scores."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        shape = self.arg.shape
        if shape.cols is not Dim.ONE or shape == SCALAR:
            raise ShapeError(
                f"select by the scores of {shape.phrase}",
                at=self.arg,
                why="there is one score for each row, in a column",
                hint='use what nd.sum makes of rows, over="cols", or the transpose of a row',
            )
        return Shape(shape.rows, legal_rank(Rank(self.rank, self.share)))

    def _infer_facts(self) -> Facts:
        return Facts(0.0, 1.0)

    def _notate(self, n: Notation) -> Piece:
        return n.call("select", self.arg, sub=Piece(n(self.rank).text, Level.ATOM))


@attrs.frozen(eq=False, repr=False)
class Dct(Leaf, Operation):
    """The orthogonal matrix of the discrete cosine transform (DCT-II) of m or n points.

    C_jk = √(2/n) cos(π (2 j + 1) k / (2 n)), the first column divided by √2: a column for each
    frequency k.
    """

    footprint = Footprint.MATRIX

    dim: Length

    def _infer_shape(self) -> Shape:
        return Shape(self.dim, self.dim)

    def _infer_facts(self) -> Facts:
        return ORTHOGONAL

    def _notate(self, n: Notation) -> Piece:
        return n.symbol("C")


def rank_of(size: Expr) -> Rank:
    """Return the length that a number stands for, or a hyper-parameter that is one.

    A whole number says how many, one between 0 and 1 which share of the shorter side.

    Raises:
        DomainError: for anything else.
    """
    symbol = isinstance(size, Param) and size.domain.share
    number = isinstance(size, Constant) and 0 < size.value < 1
    return legal_rank(Rank(size, symbol or number))


def legal_rank(rank: Rank) -> Rank:
    """Return a rank, if its size is a number that it may have.

    Raises:
        DomainError: if it is not.
    """
    size, share = rank.size, rank.share
    domain = SHARE if share else RANK
    number = isinstance(size, Constant) and domain.contains(float(size.value))
    symbol = isinstance(size, Param) and (size.domain.share if share else size.domain.whole)
    if not (size.shape == SCALAR and (number or symbol)):
        raise DomainError(
            f"keep {size} directions",
            at=size,
            why="how many is a whole number ≥ 1, or a share of the shorter side between 0 and 1, "
            "known before the first step",
            hint="write a number, or a hyper-parameter annotated as one: rank: nd.Rank = 32, or "
            "share: nd.Share = 0.25",
        )
    return rank
