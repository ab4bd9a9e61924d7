"""Functions of matrices: powers, roots, inverses, eigenvectors and eigenvalues, triangles."""

from __future__ import annotations

from fractions import Fraction

import attrs

from normdsl.errors import DomainError, ShapeError
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.facts import NONNEGATIVE, ORTHOGONAL, UNKNOWN, Facts
from normdsl.expressions.nodes.constants import is_constant
from normdsl.expressions.nodes.leaves import Eye
from normdsl.expressions.shapes import SCALAR, Dim, Shape
from normdsl.show.notation import Notation, Piece


@attrs.frozen(eq=False, repr=False)
class OfMatrix(Operation):
    """A function of one matrix as a whole: zero with it, and not continuous where it is zero."""

    footprint = Footprint.MATRIX

    arg: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The matrix."""
        return (self.arg,)

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The matrix."""
        return (self.arg,)


@attrs.frozen(eq=False, repr=False)
class MatrixPower(OfMatrix):
    """S^p of a symmetric positive semidefinite S; for p < 0 on its range (pseudo-inverse); S^0 = I.

    As 0^0 = 1 for the powers of entries, S^0 is the identity also where S is singular.
    """

    role = Role.ROOT
    commutes_with_transpose = True

    exponent: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The base, of a power that is known not to be 0."""
        p = self.exponent.facts
        return (self.arg,) if p.low > 0 or p.high < 0 else ()

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The base, unless the power is known to be positive."""
        return () if self.exponent.facts.low > 0 else (self.arg,)

    def _infer_shape(self) -> Shape:
        _require_square(self, "matrix power", self.arg)
        if self.exponent.shape != SCALAR:
            raise ShapeError(
                f"raise a matrix to the power of {self.exponent.shape.phrase}",
                at=self.exponent,
                why="an exponent is a scalar",
                hint="use a number or a hyper-parameter",
            )
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        _require_psd("a matrix power", self.arg)
        return Facts(symmetric=True, psd=True)

    def simpler(self) -> Expr | None:
        """S¹ = S and S⁰ = I^p = I."""
        if is_constant(self.exponent, 0):
            return Eye(self.shape.rows)
        return self.arg if is_constant(self.exponent, 1) or self.arg.is_identity else None

    def _notate(self, n: Notation) -> Piece:
        return n.power(self.arg, self.exponent)


@attrs.frozen(eq=False, repr=False)
class Cholesky(OfMatrix):
    """The lower triangular C with C Cᵀ = S and a diagonal ≥ 0, of a positive semidefinite S."""

    role = Role.FACTOR
    commutes_with_transpose = False
    jumps_with = ()

    def _infer_shape(self) -> Shape:
        _require_square(self, "Cholesky factor", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        _require_psd("the Cholesky factor", self.arg)
        return UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return n.call("chol", self.arg)


@attrs.frozen(eq=False, repr=False)
class Inverse(OfMatrix):
    """Inverse of a square matrix (pseudo-inverse where it is singular)."""

    role = Role.INVERSE
    commutes_with_transpose = True

    def _infer_shape(self) -> Shape:
        _require_square(self, "inverse", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        facts = self.arg.facts
        return Facts(symmetric=facts.symmetric, psd=facts.psd, orthogonal=facts.orthogonal)

    def simpler(self) -> Expr | None:
        """(S⁻¹)⁻¹ = S, of pseudo-inverses as well."""
        return self.arg.arg if isinstance(self.arg, Inverse) else None

    def _notate(self, n: Notation) -> Piece:
        return n.power(self.arg, n.integer_or_ratio(Fraction(-1)))


@attrs.frozen(eq=False, repr=False)
class Eigenbasis(OfMatrix):
    """Orthogonal Q of eigenvectors of a symmetric S, S = Q Λ Qᵀ, largest eigenvalue first.

    A function of S at this step alone; states in its coordinates turn along
    (`normdsl.expressions.turning`).
    """

    role = Role.EIGENBASIS
    commutes_with_transpose = False
    is_basis = True
    zero_with = ()  # any basis is one of eigenvectors of 0

    def _infer_shape(self) -> Shape:
        _require_square(self, "eigenbasis", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        _require_symmetric("the eigenbasis", self.arg)
        return ORTHOGONAL

    def _notate(self, n: Notation) -> Piece:
        return n.call("eigenbasis", self.arg)


@attrs.frozen(eq=False, repr=False)
class Eigenvalues(OfMatrix):
    """The eigenvalues of a symmetric S in one column, largest first, in the order of `Eigenbasis`.

    Continuous, also where eigenvalues cross: it is the directions that change places.
    """

    role = Role.EIGENVALUES
    commutes_with_transpose = False
    jumps_with = ()

    def _infer_shape(self) -> Shape:
        _require_square(self, "eigenvalues", self.arg)
        return Shape(self.arg.shape.rows, Dim.ONE)

    def _infer_facts(self) -> Facts:
        _require_symmetric("the eigenvalues", self.arg)
        return NONNEGATIVE if self.arg.facts.psd else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return n.call("eigenvalues", self.arg)


@attrs.frozen(eq=False, repr=False)
class UpperTriangle(OfMatrix):
    """The entries X_ij on the diagonal and above it, i ≤ j, and zeros below."""

    role = None
    commutes_with_transpose = False
    jumps_with = ()

    def _infer_shape(self) -> Shape:
        _require_square(self, "upper triangle", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        return Facts(min(self.arg.facts.low, 0.0), max(self.arg.facts.high, 0.0))

    def _notate(self, n: Notation) -> Piece:
        return n.call("triu", self.arg)


def _require_square(node: Expr, what: str, arg: Expr) -> None:
    if not arg.shape.square:
        raise ShapeError(
            f"take the {what} of {arg.shape.phrase}",
            at=arg,
            why="it is defined for square matrices, m×m or n×n",
            hint="build one from W's shape with G @ G.T (m×m) or G.T @ G (n×n)",
        )


def _require_symmetric(what: str, arg: Expr) -> None:
    if not arg.facts.symmetric:
        raise DomainError(
            f"take {what}",
            at=arg,
            why="only a matrix known to be symmetric has an orthogonal eigenbasis",
            hint="use S + S.T, or a Gram matrix G @ G.T",
        )


def _require_psd(what: str, arg: Expr) -> None:
    if not arg.facts.psd:
        raise DomainError(
            f"take {what}",
            at=arg,
            why="S^p needs a symmetric S known to have no negative eigenvalue",
            hint="use a sum or average of Gram matrices X @ X.T with weights known to be ≥ 0 "
            "(annotate rates: beta: nd.Fraction), or nd.inverse for p = −1",
        )
