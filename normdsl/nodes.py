"""The remaining nodes of the expression language: leaves, entrywise, spectral and reducing ones.

Together with the arithmetic in `expr`, the recursions in `recursion` and the norm operations in
`norms.base`, this is the closed set that every pass of the compiler covers.
"""

from __future__ import annotations

import enum
import math
from fractions import Fraction

import attrs

from normdsl.domains import Domain
from normdsl.errors import DomainError, ShapeError
from normdsl.expr import Expr, Mul, negated, pointwise
from normdsl.facts import NONNEGATIVE, UNIT, UNKNOWN, Facts
from normdsl.shapes import LEFT, MATRIX, RIGHT, SCALAR, Dim, Shape
from normdsl.show.notation import Level, Notation, Piece


class Source(enum.Enum):
    """What a stream delivers at each step."""

    GRADIENT = "G"
    WEIGHTS = "W"
    STEP = "t"
    LOSS = "loss"
    INPUT_MOMENT = "C_x"
    OUTPUT_MOMENT = "C_g"
    ROWS = "m"
    COLS = "n"


_SHAPES = {
    Source.GRADIENT: MATRIX,
    Source.WEIGHTS: MATRIX,
    Source.INPUT_MOMENT: RIGHT,
    Source.OUTPUT_MOMENT: LEFT,
}


@attrs.frozen(eq=False, repr=False)
class Stream(Expr):
    """An input: the gradient, weights, step index, loss, a layer's moments, or a length of W."""

    source: Source

    def _infer_shape(self) -> Shape:
        return _SHAPES.get(self.source, SCALAR)

    def _infer_facts(self) -> Facts:
        if self.source in (Source.INPUT_MOMENT, Source.OUTPUT_MOMENT):
            return Facts(symmetric=True, psd=True)
        whole = self.source in (Source.STEP, Source.ROWS, Source.COLS)
        return Facts(low=1.0) if whole else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(self.source.value)


@attrs.frozen(eq=False, repr=False)
class Param(Expr):
    """A hyper-parameter: a scalar symbol with a domain."""

    name: str
    domain: Domain

    def _infer_shape(self) -> Shape:
        return SCALAR

    def _infer_facts(self) -> Facts:
        return Facts(self.domain.low, self.domain.high)

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(self.name)


class Distribution(enum.Enum):
    """What the entries of a random draw are distributed by, independently of one another."""

    NORMAL = "normal"
    SIGNS = "signs"


@attrs.frozen(eq=False, repr=False)
class Draw(Expr):
    """Fresh random entries at every step; draws with the same key and shape are one and the same.

    Args:
        distribution: of the entries. dims: the shape of the array.
        key: tells draws apart.
    """

    distribution: Distribution
    dims: Shape
    key: int = 0

    def _infer_shape(self) -> Shape:
        return self.dims

    def _infer_facts(self) -> Facts:
        return UNIT if self.distribution is Distribution.SIGNS else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        letter = "xi" if self.distribution is Distribution.NORMAL else "zeta"
        return n.symbol(letter + ("" if self.key == 0 else str(self.key)))


@attrs.frozen(eq=False, repr=False)
class Eye(Expr):
    """The identity matrix of size m or n."""

    dim: Dim
    is_identity = True

    def _infer_shape(self) -> Shape:
        return Shape(self.dim, self.dim)

    def _infer_facts(self) -> Facts:
        return Facts(0.0, 1.0, symmetric=True, psd=True)

    def _notate(self, n: Notation) -> Piece:
        return n.symbol("I")


@attrs.frozen
class Function:
    """A real function applied entry by entry, and the facts every pass needs of it.

    Args:
        name: its name. odd: f(−x) = −f(x). even: f(−x) = f(x).
        degree: d with f(cx) = c^d f(x) for c > 0, or None if there is none.
        low: lower bound of its values. high: upper bound of its values.
        nonnegative_domain: whether it needs x ≥ 0.
    """

    name: str
    odd: bool = False
    even: bool = False
    degree: int | None = None
    low: float = -math.inf
    high: float = math.inf
    nonnegative_domain: bool = False


ABS = Function("abs", even=True, degree=1, low=0.0)
SIGN = Function("sign", odd=True, degree=0, low=-1.0, high=1.0)
RECIPROCAL = Function("reciprocal", odd=True, degree=-1)
EXP = Function("exp", low=0.0)
LOG = Function("log", nonnegative_domain=True)
TANH = Function("tanh", odd=True, low=-1.0, high=1.0)

FUNCTIONS = {f.name: f for f in (ABS, SIGN, RECIPROCAL, EXP, LOG, TANH)}


@attrs.frozen(eq=False, repr=False)
class Apply(Expr):
    """f(x), entry by entry. `reciprocal` is the pseudo-inverse of a number: 1/x, and 0 at 0."""

    function: Function
    arg: Expr

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        f, x = self.function, self.arg.facts
        if f.nonnegative_domain and not x.nonnegative:
            raise DomainError(
                f"take the {f.name}",
                at=self.arg,
                why="it needs an argument known to be ≥ 0",
                hint="square the argument, or take nd.abs of it",
            )
        kept = x.nonnegative and (f.odd or f.even)
        symmetric = x.symmetric and self.shape != SCALAR
        return Facts(0.0 if kept else f.low, f.high, symmetric=symmetric)

    def _notate(self, n: Notation) -> Piece:
        if self.function == RECIPROCAL:
            return n.power(self.arg, Piece("+", Level.ATOM))
        return n.call(self.function.name, self.arg)


@attrs.frozen(eq=False, repr=False)
class Maximum(Expr):
    """The larger of two, entry by entry."""

    left: Expr
    right: Expr

    def _infer_shape(self) -> Shape:
        return pointwise(self, "take the maximum of", self.left, self.right)

    def _infer_facts(self) -> Facts:
        x, y = self.left.facts, self.right.facts
        symmetric = x.symmetric and y.symmetric and self.left.shape == self.right.shape
        return Facts(max(x.low, y.low), max(x.high, y.high), symmetric=symmetric)

    def _notate(self, n: Notation) -> Piece:
        return n.call("max", self.left, self.right)

    def _notate_negative(self, n: Notation) -> Piece:
        smaller = negated(self.left), negated(self.right)
        if smaller[0] is None or smaller[1] is None:
            return n.negative(self)
        return n.call("min", *smaller)


@attrs.frozen(eq=False, repr=False)
class MatrixPower(Expr):
    """S^p of a symmetric positive semidefinite S; for p < 0 on the range of S (pseudo-inverse)."""

    arg: Expr
    exponent: Expr

    def _infer_shape(self) -> Shape:
        _require_square(self, "matrix power", self.arg)
        if self.exponent.shape != SCALAR:
            raise ShapeError(
                f"raise a matrix to the power of a {self.exponent.shape}",
                at=self.exponent,
                why="an exponent is a scalar",
                hint="use a number or a hyper-parameter",
            )
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        _require_psd("a matrix power", self.arg)
        return Facts(symmetric=True, psd=True)

    def _notate(self, n: Notation) -> Piece:
        return n.power(self.arg, self.exponent)


@attrs.frozen(eq=False, repr=False)
class Cholesky(Expr):
    """The lower triangular C with C Cᵀ = S and a diagonal ≥ 0, of a positive semidefinite S."""

    arg: Expr

    def _infer_shape(self) -> Shape:
        _require_square(self, "Cholesky factor", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        _require_psd("the Cholesky factor", self.arg)
        return UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return n.call("chol", self.arg)


@attrs.frozen(eq=False, repr=False)
class Inverse(Expr):
    """Inverse of a square matrix (pseudo-inverse where it is singular)."""

    arg: Expr

    def _infer_shape(self) -> Shape:
        _require_square(self, "inverse", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        return Facts(symmetric=self.arg.facts.symmetric, psd=self.arg.facts.psd)

    def _notate(self, n: Notation) -> Piece:
        return n.power(self.arg, n.integer_or_ratio(Fraction(-1)))


@attrs.frozen(eq=False, repr=False)
class Polar(Expr):
    """Polar factor U_r V_rᵀ of X = U S Vᵀ: the partial isometry of the nonzero singular values."""

    arg: Expr

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        facts = self.arg.facts
        return attrs.evolve(UNIT, symmetric=facts.symmetric, psd=facts.psd)

    def _notate(self, n: Notation) -> Piece:
        return n.call("polar", self.arg)


@attrs.frozen(eq=False, repr=False)
class Eigenbasis(Expr):
    """Orthogonal Q of eigenvectors of a symmetric S, S = Q Λ Qᵀ, largest eigenvalue first."""

    arg: Expr

    def _infer_shape(self) -> Shape:
        _require_square(self, "eigenbasis", self.arg)
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        if not self.arg.facts.symmetric:
            raise DomainError(
                "take the eigenbasis",
                at=self.arg,
                why="only a matrix known to be symmetric has an orthogonal eigenbasis",
                hint="use S + S.T, or a Gram matrix G @ G.T",
            )
        return UNIT

    def _notate(self, n: Notation) -> Piece:
        return n.call("eigenbasis", self.arg)


@attrs.frozen(eq=False, repr=False)
class Inner(Expr):
    """Inner product ⟨x, y⟩ = Σ x_ij y_ij, over rows and columns, or over one of them alone."""

    left: Expr
    right: Expr
    over_rows: bool = True
    over_cols: bool = True

    def _infer_shape(self) -> Shape:
        if self.left.shape != self.right.shape:
            raise ShapeError(
                f"inner product of a {self.left.shape} with a {self.right.shape}",
                at=f"{self.left}  and  {self.right}   ({self.where})",
                why="⟨x, y⟩ sums over equal index pairs",
                hint="transpose one with .T",
            )
        return _summed(self.left.shape, self.over_rows, self.over_cols)

    def _infer_facts(self) -> Facts:
        x, y = self.left.facts, self.right.facts
        definite = self.whole and x.psd and y.psd  # tr XY = ‖X^½ Y^½‖_F²
        both = x.nonnegative and y.nonnegative
        return NONNEGATIVE if both or definite or self.left == self.right else UNKNOWN

    @property
    def whole(self) -> bool:
        """Whether it sums over both axes."""
        return self.over_rows and self.over_cols

    def _notate(self, n: Notation) -> Piece:
        if not self.whole:
            return _notate_reduced(
                n, "sum", Mul(self.left, self.right), self.over_rows, self.over_cols
            )
        if self.left == self.right:
            return n.power(n.norm(n(self.left), "_F"), n.integer_or_ratio(Fraction(2)))
        if self.left.is_identity:
            return n.call("tr", self.right)
        return n.call("inner", self.left, self.right)

    def _notate_root(self, n: Notation) -> Piece:
        frobenius = self.whole and self.left == self.right
        return n.norm(n(self.left), "_F") if frobenius else n.root(self)


class Reducer(enum.Enum):
    """How entries along an axis are combined."""

    SUM = "sum"
    MAX = "max"


@attrs.frozen(eq=False, repr=False)
class Reduce(Expr):
    """Sum or maximum over the rows (axis 0 becomes 1), the columns, or both."""

    reducer: Reducer
    arg: Expr
    over_rows: bool
    over_cols: bool

    def _infer_shape(self) -> Shape:
        return _summed(self.arg.shape, self.over_rows, self.over_cols)

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE if self.arg.facts.nonnegative else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return _notate_reduced(n, self.reducer.value, self.arg, self.over_rows, self.over_cols)


@attrs.frozen(eq=False, repr=False)
class SchattenNorm(Expr):
    """ℓp norm of the singular values; p = ∞ is the spectral norm, p = 1 the nuclear norm."""

    arg: Expr
    p: float

    def _infer_shape(self) -> Shape:
        if not self.p >= 1:
            raise DomainError(
                f"take the Schatten norm with p = {self.p}",
                at=self.arg,
                why="it is a norm for p ≥ 1 only",
                hint="use p = 1 (nuclear), 2 (Frobenius) or infinity (spectral)",
            )
        return SCALAR

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE

    def _notate(self, n: Notation) -> Piece:
        return n.norm(n(self.arg), {1.0: "_*", math.inf: "₂"}.get(self.p, f"_S{self.p:g}"))


def _summed(shape: Shape, over_rows: bool, over_cols: bool) -> Shape:
    """Return the shape that is left of an array summed over some of its axes."""
    return Shape(Dim.ONE if over_rows else shape.rows, Dim.ONE if over_cols else shape.cols)


def _notate_reduced(n: Notation, name: str, arg: Expr, over_rows: bool, over_cols: bool) -> Piece:
    axes = ("i" if over_rows else "") + ("j" if over_cols else "")
    return n.call(name, arg, sub=Piece(axes, Level.ATOM))


def _require_square(node: Expr, what: str, arg: Expr) -> None:
    if not arg.shape.square:
        raise ShapeError(
            f"take the {what} of a {arg.shape}",
            at=arg,
            why="it is defined for square matrices, m×m or n×n",
            hint="build one from W's shape with G @ G.T (m×m) or G.T @ G (n×n)",
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
