"""Sums, entrywise products and powers."""

from __future__ import annotations

from fractions import Fraction

import attrs

from normdsl.errors import DomainError, ShapeError
from normdsl.expressions.expr import Entrywise, Expr, Factor, Product, how_nonnegative
from normdsl.expressions.facts import NONNEGATIVE, UNKNOWN, Facts, real_power, square
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.shapes import SCALAR, Dim, Shape, broadcast
from normdsl.expressions.signs import factors_of, sign_of, signed
from normdsl.expressions.symmetry import balanced, mutually_symmetric
from normdsl.show.notation import Level, Notation, Piece
from normdsl.source import Operands


@attrs.frozen(eq=False, repr=False)
class Add(Entrywise):
    """Entrywise sum, x + y."""

    zero_with = ()
    jumps_with = ()

    left: Expr
    right: Expr

    @property
    def terms(self) -> tuple[Expr, ...]:
        """Both terms."""
        return (self.left, self.right)

    def _infer_shape(self) -> Shape:
        return pointwise(self, "add", self.left, self.right)

    def _infer_facts(self) -> Facts:
        total = self.left.facts + self.right.facts
        if self.left.shape == self.right.shape:
            mirrored = total.symmetric or (self.shape.square and balanced(self))
            return attrs.evolve(total, symmetric=True) if mirrored else total
        return attrs.evolve(total, symmetric=False, psd=False)

    def simpler(self) -> Expr | None:
        """X + 0 = x, sums of numbers, and x − x = 0."""
        x, y = self.left, self.right
        if x.negated == y or y.negated == x:
            return Constant(Fraction(0), self.shape)
        return _simpler_sum(x, y)

    def _notate(self, n: Notation) -> Piece:
        minus, tail = signed(self.right, n)
        return n.sum(self.left, tail, minus=minus)


@attrs.frozen(eq=False, repr=False)
class Mul(Entrywise):
    """Entrywise product, x ∘ y; with a scalar, the multiple."""

    jumps_with = ()

    left: Expr
    right: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """Either factor."""
        return (self.left, self.right)

    @property
    def negated(self) -> Expr | None:
        """X of (−1) x."""
        return self.right if is_constant(self.left, -1) else None

    @property
    def factors(self) -> tuple[Expr, ...]:
        """Both factors."""
        return (self.left, self.right)

    @property
    def as_product(self) -> Product | None:
        """A multiple, or rows or columns each with a multiple: c X, X diag(r), diag(c) X."""
        x, y = self.left, self.right
        if SCALAR in (x.shape, y.shape):
            number, array = (x, y) if x.shape == SCALAR else (y, x)
            return Product((number,), (Factor(array),))
        if x.shape.is_line == y.shape.is_line:
            return None
        line, array = (x, y) if x.shape.is_line else (y, x)
        if line.shape.rows is Dim.ONE:
            return Product((), (Factor(array), Factor(line, diagonal=True)))
        return Product((), (Factor(line.T, diagonal=True), Factor(array)))

    def _infer_shape(self) -> Shape:
        return pointwise(self, "multiply", self.left, self.right)

    def _infer_facts(self) -> Facts:
        x, y = self.left, self.right
        product = square(x.facts) if x == y else x.facts * y.facts
        factors = factors_of(self)
        sign = sign_of(factors)
        low = max(product.low, 0.0) if sign > 0 else product.low
        high = min(product.high, 0.0) if sign < 0 else product.high
        return self._as_matrix(factors, low, high) if self.shape.square else Facts(low, high)

    def _as_matrix(self, factors: list[Expr], low: float, high: float) -> Facts:
        """Return facts of a multiple, or of an entrywise product, of symmetric matrices."""
        x, y = self.left, self.right
        arrays = [f for f in factors if f.shape != SCALAR]
        alike = all(f.shape == self.shape for f in arrays)
        positive = sign_of([f for f in factors if f.shape == SCALAR]) > 0
        multiple = [(c, a) for c, a in ((x, y), (y, x)) if c.shape == SCALAR]
        mutual = not multiple and x.shape == y.shape and mutually_symmetric(x, y)
        if (line := diagonal_of(self)) is not None:
            return Facts(low, high, symmetric=True, psd=line.facts.nonnegative)
        return Facts(
            low,
            high,
            symmetric=mutual or (alike and all(f.facts.symmetric for f in arrays)),
            psd=any(c.facts.nonnegative and a.facts.psd for c, a in multiple)
            or (alike and positive and all(f.facts.psd for f in arrays)),
            orthogonal=any(c.facts.unimodular and a.facts.orthogonal for c, a in multiple),
        )

    def simpler(self) -> Expr | None:
        """0 x = 0, 1 x = x, and products of numbers."""
        return _simpler_product(self.left, self.right)

    def _notate(self, n: Notation) -> Piece:
        minus, size = signed(self, n)
        if minus:
            return n.negative(size) if size in n.names else size._notate_negative(n)
        if size != self:
            return n(size)
        if (line := diagonal_of(self)) is not None:
            return n.call("diag", line)
        x, y = self.left, self.right
        if isinstance(y, Constant) and y.value > 0 and y.shape == SCALAR:
            x, y = y, x
        if isinstance(y, Pow) and is_constant(y.exponent, -1) and y not in n.names:
            return n.quotient(x, y.base)
        if x == y:
            return n.power(x, n.integer_or_ratio(Fraction(2)))
        return n.product(x, y, entrywise=SCALAR not in (x.shape, y.shape))


@attrs.frozen(eq=False, repr=False)
class Pow(Entrywise):
    """Entrywise power x^p with a scalar exponent p."""

    base: Expr
    exponent: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The base, of a positive power."""
        return (self.base,) if self.exponent.facts.low > 0 else ()

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The base, unless the power is known to be positive."""
        return () if self.exponent.facts.low > 0 else (self.base,)

    @property
    def sign_like(self) -> Expr:
        """That of x, of an odd whole power of x."""
        p = self.exponent
        odd = isinstance(p, Constant) and p.value.denominator == 1 and p.value % 2 == 1
        return self.base.sign_like if odd else self

    def _infer_shape(self) -> Shape:
        if self.exponent.shape != SCALAR:
            raise ShapeError(
                f"raise {self.base.shape.phrase} to the power of {self.exponent.shape.phrase}",
                at=self.exponent,
                why="an exponent must be a scalar",
                hint="for the power of a symmetric matrix use nd.matrix_power(L, p)",
            )
        return self.base.shape

    def _infer_facts(self) -> Facts:
        base, exponent = self.base.facts, self.exponent
        whole = isinstance(exponent, Constant) and exponent.value.denominator == 1
        if base.nonnegative:
            return real_power(base, exponent.facts)
        if whole:
            return NONNEGATIVE if exponent.value % 2 == 0 else UNKNOWN
        raise DomainError(
            f"raise to the power {exponent}",
            at=self.base,
            why="of a negative number only whole powers are real, and this is not known to be ≥ 0",
            hint=how_nonnegative(self.base),
        )

    def simpler(self) -> Expr | None:
        """x¹ = x, x⁰ = 1, and powers of numbers."""
        return _simpler_power(self.base, self.exponent)

    def _notate(self, n: Notation) -> Piece:
        if is_constant(self.exponent, -1):
            return n.quotient(Piece("1", Level.ATOM), self.base)
        if isinstance(self.exponent, Constant) and self.exponent.value == Fraction(1, 2):
            return n.root(self.base) if self.base in n.names else self.base._notate_root(n)
        return n.power(self.base, self.exponent)


def diagonal_of(expr: Expr) -> Expr | None:
    """Return the column v of a diagonal matrix v ∘ I, otherwise None."""
    match expr.factors:
        case (v, one) | (one, v) if one.is_identity and v.shape == Shape(one.shape.rows, Dim.ONE):
            return v
    return None


def pointwise(node: Expr, verb: str, left: Expr, right: Expr) -> Shape:
    """Return the shape of an entrywise operation, or raise `ShapeError`."""
    shape = broadcast(left.shape, right.shape)
    if shape is None:
        raise ShapeError(
            f"{verb} {left.shape.phrase} and {right.shape.phrase} entry by entry",
            at=Operands(left, right, node.where),
            why="on each axis, the two lengths must agree, or one of them must be 1",
            hint="use @ for the matrix product, .T to transpose",
        )
    return shape


def add(left: Expr, right: Expr) -> Expr:
    """Return left + right, leaving out a zero."""
    found = _simpler_sum(left, right)
    return Add(left, right) if found is None else found


def _simpler_sum(left: Expr, right: Expr) -> Expr | None:
    if not (isinstance(left, Constant) or isinstance(right, Constant)):
        return None
    shape = broadcast(left.shape, right.shape)
    if is_constant(left, 0) and right.shape == shape:
        return right
    if is_constant(right, 0) and left.shape == shape:
        return left
    if isinstance(left, Constant) and isinstance(right, Constant) and shape is not None:
        return Constant(left.value + right.value, shape)
    return None


def mul(left: Expr, right: Expr) -> Expr:
    """Return left ∘ right, leaving out a one and keeping a zero."""
    found = _simpler_product(left, right)
    return Mul(left, right) if found is None else found


def _simpler_product(left: Expr, right: Expr) -> Expr | None:
    if not (isinstance(left, Constant) or isinstance(right, Constant)):
        return None
    shape = broadcast(left.shape, right.shape)
    if shape is not None and (is_constant(left, 0) or is_constant(right, 0)):
        return Constant(Fraction(0), shape)
    if is_constant(left, 1) and right.shape == shape:
        return right
    if is_constant(right, 1) and left.shape == shape:
        return left
    if isinstance(left, Constant) and isinstance(right, Constant) and shape is not None:
        return Constant(left.value * right.value, shape)
    return None


def power(base: Expr, exponent: Expr) -> Expr:
    """Return base^exponent, folding exponents 0 and 1 and whole powers of constants."""
    found = _simpler_power(base, exponent)
    return Pow(base, exponent) if found is None else found


def _simpler_power(base: Expr, exponent: Expr) -> Expr | None:
    if exponent.shape != SCALAR:
        return None  # refused when it is built
    if is_constant(exponent, 1):
        return base
    if is_constant(exponent, 0):
        return Constant(Fraction(1), base.shape)
    if is_constant(base, 1):
        return base
    if is_constant(base, 0) and exponent.facts.low > 0:
        return base
    if isinstance(exponent, Constant) and isinstance(base, Constant) and base.value != 0:
        whole = exponent.value.denominator == 1 and abs(exponent.value) <= 64
        if whole:
            return Constant(base.value ** int(exponent.value), base.shape)
    return None
