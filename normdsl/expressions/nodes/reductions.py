"""Sums, maxima and quantiles over axes, and inner products."""

from __future__ import annotations

import enum
from fractions import Fraction

import attrs

from normdsl.errors import DeclarationError, DomainError, ShapeError
from normdsl.expressions.conduct import Footprint, summed
from normdsl.expressions.expr import Expr, Operation, how_nonnegative
from normdsl.expressions.facts import NONNEGATIVE, UNKNOWN, Facts
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes.arithmetic import Mul
from normdsl.expressions.origins import Origin
from normdsl.expressions.shapes import SCALAR, Dim, Shape
from normdsl.expressions.signs import factors_of, sign_of
from normdsl.show.notation import Level, Notation, Piece
from normdsl.source import Operands


class OverAxes(Operation):
    """What takes the entries of rows, of columns, or of both together, and is continuous."""

    __slots__ = ()
    role = None
    jumps_with = ()

    over_rows: bool
    over_cols: bool

    @property
    def footprint(self) -> Footprint:
        """All entries, or those of a row or column."""
        return summed(self.over_rows, self.over_cols)

    @property
    def whole(self) -> bool:
        """Whether it goes over both axes."""
        return self.over_rows and self.over_cols

    @property
    def commutes_with_transpose(self) -> bool:
        """Whether it goes over both axes."""
        return self.whole

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """Each of what it goes over."""
        return self.children

    def _over(self, shape: Shape) -> Shape:
        """Return the shape that is left of what it goes over."""
        return Shape(
            Dim.ONE if self.over_rows else shape.rows, Dim.ONE if self.over_cols else shape.cols
        )


@attrs.frozen(eq=False, repr=False)
class Inner(OverAxes):
    """Inner product ⟨x, y⟩ = Σ x_ij y_ij, over rows and columns, or over one of them alone."""

    left: Expr
    right: Expr
    over_rows: bool = True
    over_cols: bool = True

    def _infer_shape(self) -> Shape:
        if self.left.shape != self.right.shape:
            raise ShapeError(
                f"form the inner product of {self.left.shape.phrase} and {self.right.shape.phrase}",
                at=Operands(self.left, self.right, self.where),
                why="⟨x, y⟩ = Σ x_ij y_ij needs two of one shape",
                hint="transpose one with .T",
            )
        return self._over(self.left.shape)

    def _infer_facts(self) -> Facts:
        x, y = self.left, self.right
        if x.is_identity and y.facts.psd:  # of its diagonal
            return NONNEGATIVE
        sign = sign_of([*factors_of(x), *factors_of(y)])
        if self.whole and not sign:
            definite = x.facts.psd and y.facts.psd  # tr XY = ‖X^½ Y^½‖_F²
            sign = 1 if definite else _slope(x, y)
        return NONNEGATIVE if sign > 0 else Facts(high=0.0) if sign < 0 else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        if self.left.is_identity and not self.over_rows:
            return n.call("diagonal", self.right)
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


def _slope(x: Expr, y: Expr) -> int:
    """Return the sign of ⟨x, y⟩ if one is a multiple of a `slope` of the other, else 0."""
    (a, x), (b, y) = _multiple(x), _multiple(y)
    along = y.slope if getattr(y, "arg", None) == x else x.slope * (getattr(x, "arg", None) == y)
    return along * sign_of([*a, *b])


def _multiple(x: Expr) -> tuple[list[Expr], Expr]:
    """Return a multiple c x as the factors of c, and x."""
    factors = factors_of(x)
    arrays = [f for f in factors if f.shape != SCALAR]
    return [f for f in factors if f.shape == SCALAR], arrays[0] if len(arrays) == 1 else x


class Reducer(enum.Enum):
    """How entries along an axis are combined."""

    SUM = "sum"
    MAX = "max"


@attrs.frozen(eq=False, repr=False)
class Reduce(OverAxes):
    """Sum or maximum over the rows (axis 0 becomes 1), the columns, or both."""

    reducer: Reducer
    arg: Expr
    over_rows: bool
    over_cols: bool

    def _infer_shape(self) -> Shape:
        return self._over(self.arg.shape)

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE if self.arg.facts.nonnegative else UNKNOWN

    def _notate(self, n: Notation) -> Piece:
        return _notate_reduced(n, self.reducer.value, self.arg, self.over_rows, self.over_cols)


def _notate_reduced(n: Notation, name: str, arg: Expr, over_rows: bool, over_cols: bool) -> Piece:
    return n.call(name, arg, sub=_axes(over_rows, over_cols))


def _axes(over_rows: bool, over_cols: bool) -> Piece:
    return Piece(("i" if over_rows else "") + ("j" if over_cols else ""), Level.ATOM)


@attrs.frozen(eq=False, repr=False)
class KthLargest(OverAxes):
    """The k-th largest entry over axes, of entries ≥ 0; 0 where there are fewer than k."""

    arg: Expr
    k: int
    over_rows: bool
    over_cols: bool

    def _infer_shape(self) -> Shape:
        if not self.arg.facts.nonnegative or self.k < 1:
            raise DomainError(
                f"take the entry at place {self.k} in order of size",
                at=self.arg,
                why="places count from 1, and entries must be known to be ≥ 0",
                hint=how_nonnegative(self.arg),
            )
        return self._over(self.arg.shape)

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE

    def _notate(self, n: Notation) -> Piece:
        name = f"max{self.k}"
        return _notate_reduced(n, name, self.arg, self.over_rows, self.over_cols)


@attrs.frozen(eq=False, repr=False)
class Quantile(OverAxes):
    """What a share q of the entries over axes is not above, interpolated between two neighbours.

    Of entries in order, x₀ ≤ … ≤ x_k, it is at place q k: the least for q = 0, the median for ½.
    """

    arg: Expr
    share: Expr
    over_rows: bool
    over_cols: bool

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """What it goes over."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        known = self.share.facts
        if self.share.shape != SCALAR or known.low < 0 or known.high > 1:
            raise DomainError(
                "take a quantile",
                at=self.share,
                why="the share of the entries below it is a scalar known to lie in [0, 1]",
                hint="write nd.quantile(x, 0.9), or annotate the share: nd.Fraction",
            )
        return self._over(self.arg.shape)

    def _infer_facts(self) -> Facts:
        return Facts(self.arg.facts.low, self.arg.facts.high)

    def _notate(self, n: Notation) -> Piece:
        return n.call("quantile", self.arg, self.share, sub=_axes(self.over_rows, self.over_cols))


class Measure(enum.Enum):
    """What a scalar of all layers measures."""

    SCALAR = "scalar"
    VALUE = "norm"
    DUAL = "dual norm"


@attrs.frozen
class Shared:
    """What a scalar of all layers is for, whatever expression each rule contributes to it.

    Scalars of several rules in one optimizer are one if theirs is the same.

    Args:
        measure: a scalar that the user combines, or the norm or dual norm of all layers.
        name: the name that the user gave it, if any.
        by: the gauge that combines the norms of the layers, d.
        part: which of the gauge's sums and maxima it is, as a formula of d.
    """

    measure: Measure
    name: str | None = None
    by: Gauge | None = None
    part: str = ""

    def __attrs_post_init__(self) -> None:
        legal = isinstance(self.name, str) and self.name.isidentifier()
        if self.name is not None and not legal:
            raise DeclarationError(
                f"name what layers share {self.name!r}",
                why="a name is a word of letters, digits and _",
                hint='use name="total"',
            )
        if self.measure is Measure.SCALAR and self.name is None:
            raise DeclarationError(
                "share a scalar among rules",
                why="it has no name, by which rules could know it",
                hint='use nd.sum(x, over="layers", name="total")',
            )

    def __str__(self) -> str:
        called = "" if self.name is None else f" {self.name}"
        by = "" if self.by is None else f" by {self.by}"
        return f"{self.measure.value}{called} of all layers{by}"


@attrs.frozen(eq=False, repr=False)
class Across(Operation):
    """Sum or maximum of a scalar over all layers: the parameters that step together.

    Several rules of one optimizer contribute to one scalar if their `shared` is the same; without
    one, if they combine the same expression.
    """

    footprint = Footprint.LAYERS
    role = None
    commutes_with_transpose = True
    jumps_with = ()

    reducer: Reducer
    arg: Expr
    shared: Shared | None = None

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The scalar, unless other rules may contribute to what layers share."""
        return (self.arg,) if self.shared is None else ()

    def _infer_shape(self) -> Shape:
        if self.arg.shape != SCALAR:
            raise ShapeError(
                f"combine {self.arg.shape.phrase} over layers",
                at=self.arg,
                why="layers have different shapes; only scalars of theirs can be combined",
                hint="reduce it first: nd.sum(nd.sum(x), over='layers')",
            )
        return SCALAR

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE if self.arg.facts.nonnegative else UNKNOWN

    def _infer_origins(self) -> Origin:
        return Origin.LAYERS | self.arg.origins

    def _notate(self, n: Notation) -> Piece:
        name = None if self.shared is None else self.shared.name
        sub = "layers" if name is None else f"layers: {n.symbol(name).text}"
        return n.call(self.reducer.value, self.arg, sub=Piece(sub, Level.ATOM))


@attrs.frozen(eq=False, repr=False)
class BlockMean(Operation):
    """Every entry replaced by the mean over its block; blocks are rows × cols, the last smaller."""

    footprint = Footprint.MATRIX
    role = None
    commutes_with_transpose = False
    jumps_with = ()

    arg: Expr
    rows: int
    cols: int

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """What is averaged."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        if self.rows < 1 or self.cols < 1:
            raise DomainError(
                f"average over blocks of {self.rows} × {self.cols}",
                at=self.arg,
                why="a block has a row and a column at least",
                hint="use nd.block_mean(x, rows=1, cols=64)",
            )
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        return Facts(self.arg.facts.low, self.arg.facts.high)

    def _notate(self, n: Notation) -> Piece:
        size = Piece(f"{self.rows}x{self.cols}", Level.ATOM)
        return n.call("blockmean", self.arg, sub=size)
