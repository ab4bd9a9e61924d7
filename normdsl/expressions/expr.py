"""Expressions: immutable arrays of symbols, and the algebra of `+`, `*`, `**`, `@` and `.T`.

An expression is a frozen value. Two expressions are equal when they have the same structure; where
they were written is a note that equality ignores. Shapes are inferred, and refused, when a node
is built.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import attrs

from normdsl.errors import DeclarationError, DomainError, ShapeError, kind
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.domains import number
from normdsl.expressions.facts import NONNEGATIVE, UNKNOWN, Facts, real_power, square
from normdsl.expressions.origins import ANYTHING, SAME, Origin, joined
from normdsl.expressions.refusals import Symbolic
from normdsl.expressions.shapes import SCALAR, Dim, Shape, broadcast
from normdsl.expressions.structure import fingerprint, notes, parts
from normdsl.show.latex import latex
from normdsl.show.notation import Level, Notation, Piece
from normdsl.show.text import text
from normdsl.source import Operands, Where, here

Number = int | float | Fraction
#: Passes recurse into expressions; deeper ones are refused when they are built.
DEEPEST = 120
_LONGEST = 16
#: Exact numbers have fewer digits, above and below the line.
_DIGITS = 400


@attrs.frozen(eq=False, repr=False)
class Expr(Symbolic, ABC):
    """An array whose entries are not known yet: a stream, a symbol, or an operation on others.

    Attributes:
        where: the user's source line that built it.
        children: the expressions it is computed from, in order.
        shape: its inferred `Shape`.
        facts: what is known of its values (`Facts`).
        assured: what is known of them for another reason than its structure (`assure`).
        origins: what its values come from (`Origin`).
        fingerprint: digest of its structure; equality and hash rest on it.
        depth: how deeply operations are nested in it.

    Example:
        >>> import normdsl as nd
        >>> step = -0.1 * nd.G
        >>> print(nd.W + step)
        W + (−1/10) G
        >>> isinstance(step, nd.Expr), str(step.shape)
        (True, 'm×n')
    """

    #: Whether it is the identity matrix, which products leave out.
    is_identity = False
    #: Whether ⟨f(x), x⟩ is never negative (1) or never positive (−1), for f(x) of one argument x.
    slope = 0
    #: Whether only the compiler builds it, so that no declaration in JSON may contain it.
    internal = False

    where: Where | None = attrs.field(factory=here, kw_only=True, metadata={"note": True})
    assured: Facts = attrs.field(default=UNKNOWN, kw_only=True, metadata={"note": True})
    children: tuple[Expr, ...] = attrs.field(init=False)
    shape: Shape = attrs.field(init=False)
    facts: Facts = attrs.field(init=False)
    origins: Origin = attrs.field(init=False)
    fingerprint: bytes = attrs.field(init=False)
    depth: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(parts(self, Expr)))
        object.__setattr__(self, "shape", self._infer_shape())
        inferred = self._infer_facts()
        known = inferred if self.assured == UNKNOWN else inferred & self.assured
        object.__setattr__(self, "facts", known)
        object.__setattr__(self, "origins", self._infer_origins())
        object.__setattr__(self, "fingerprint", fingerprint(self))
        depth = 1
        for child in self.children:
            depth = max(depth, 1 + child.depth)
        object.__setattr__(self, "depth", depth)
        if depth > DEEPEST:
            raise DeclarationError(
                "build an expression",
                why=f"it is nested more than {DEEPEST} operations deep",
                hint="name parts of it as recursions, or add terms in balanced groups",
            )

    @property
    def sign_like(self) -> Expr:
        """An expression whose entries have the sign of these: x of x³ or of tanh x."""
        return self

    def simpler(self) -> Expr | None:
        """Return an equal expression that its operands show to be simpler, or None.

        Constructors, folding and the simplification of the compiler all use this one list.
        """
        return None

    @property
    @abstractmethod
    def footprint(self) -> Footprint:
        """On which entries of its arguments an entry depends."""

    @property
    @abstractmethod
    def role(self) -> Role | None:
        """The role by which a schedule names its method; None for sums, products and functions."""

    @property
    @abstractmethod
    def commutes_with_transpose(self) -> bool:
        """Whether f(xᵀ, yᵀ, …) = f(x, y, …)ᵀ."""

    @property
    @abstractmethod
    def zero_with(self) -> tuple[Expr, ...]:
        """The arguments each of which makes it zero, if it is zero."""

    @property
    @abstractmethod
    def jumps_with(self) -> tuple[Expr, ...]:
        """The arguments at whose zero it need not be continuous."""

    @abstractmethod
    def _infer_shape(self) -> Shape:
        """Return the shape, or raise `ShapeError`."""

    def _infer_facts(self) -> Facts:
        """Return what is known of the values, or raise `DomainError`."""
        return UNKNOWN

    def _inherited_by(self, other: Expr) -> Expr:
        """Return `other`, which a pass puts in the place of this, with what is assured of this."""
        return assure(other, self.assured)

    def _infer_origins(self) -> Origin:
        """Return what the values come from; a node that does not say so may depend on anything."""
        return ANYTHING

    @property
    def varies(self) -> bool:
        """Whether runs with other weights, losses or random draws may have another value."""
        return not self.origins.within(SAME)

    @abstractmethod
    def _notate(self, n: Notation) -> Piece:
        """Write the formula in the notation."""

    def _notate_negative(self, n: Notation) -> Piece:
        """Write −self."""
        return n.negative(self)

    def _notate_root(self, n: Notation) -> Piece:
        """Write √self."""
        return n.root(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | Fraction):
            return bool(self)  # a branch, which is refused with its reason
        return isinstance(other, Expr) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return int.from_bytes(self.fingerprint[:8], "big")

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shape}: {self}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex(self)}$"

    def __add__(self, other: Any) -> Expr:
        return add(self, as_expr(other))

    def __radd__(self, other: Any) -> Expr:
        return add(as_expr(other), self)

    def __sub__(self, other: Any) -> Expr:
        return add(self, mul(Constant(Fraction(-1)), as_expr(other)))

    def __rsub__(self, other: Any) -> Expr:
        return add(as_expr(other), mul(Constant(Fraction(-1)), self))

    def __mul__(self, other: Any) -> Expr:
        if getattr(other, "takes_factors", False):
            return NotImplemented
        return mul(self, as_expr(other))

    def __rmul__(self, other: Any) -> Expr:
        return mul(as_expr(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return mul(self, power(as_expr(other), Constant(Fraction(-1))))

    def __rtruediv__(self, other: Any) -> Expr:
        return mul(as_expr(other), power(self, Constant(Fraction(-1))))

    def __pow__(self, other: Any) -> Expr:
        return power(self, as_expr(other))

    def __rpow__(self, other: Any) -> Expr:
        return power(as_expr(other), self)

    def __pos__(self) -> Expr:
        return self

    def __neg__(self) -> Expr:
        return mul(Constant(Fraction(-1)), self)

    def __matmul__(self, other: Any) -> Expr:
        return matmul(self, as_expr(other))

    def __rmatmul__(self, other: Any) -> Expr:
        return matmul(as_expr(other), self)

    @property
    def T(self) -> Expr:
        """The transpose."""
        return transpose(self)


@attrs.frozen(eq=False, repr=False)
class Operation(Expr):
    """An expression that is a function of its children and of nothing else."""

    def _infer_origins(self) -> Origin:
        return joined(self.children)


@attrs.frozen(eq=False, repr=False)
class Entrywise(Operation):
    """An operation that does the same to every entry, in sums and products of scalars."""

    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = True


@attrs.frozen(eq=False, repr=False)
class Constant(Operation):
    """An array with every entry equal to an exact number.

    Args:
        value: the number. dims: the shape of the array.
    """

    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()

    value: Fraction
    dims: Shape = SCALAR

    def _infer_shape(self) -> Shape:
        return self.dims

    def _infer_facts(self) -> Facts:
        if max(abs(self.value.numerator), self.value.denominator) >= 10**_DIGITS:
            raise DeclarationError(
                f"use a number of more than {_DIGITS} digits",
                why="exact numbers would grow without end as products of them are formed",
                hint="round it to 17 digits, which is all that floating point knows of it",
            )
        try:
            value = float(self.value)
        except OverflowError:
            raise DeclarationError(
                "use a number beyond floating point",
                why="its magnitude is above 1.8e308",
                hint="rescale the quantities of the rule",
            ) from None
        square = self.dims.square
        return Facts(value, value, symmetric=square, psd=square and self.value >= 0)

    def _notate(self, n: Notation) -> Piece:
        return n.integer_or_ratio(self.value)


@attrs.frozen(eq=False, repr=False)
class Add(Entrywise):
    """Entrywise sum, x + y."""

    zero_with = ()
    jumps_with = ()

    left: Expr
    right: Expr

    def _infer_shape(self) -> Shape:
        return pointwise(self, "add", self.left, self.right)

    def _infer_facts(self) -> Facts:
        total = self.left.facts + self.right.facts
        if self.left.shape == self.right.shape:
            mirrored = total.symmetric or (self.shape.square and _balanced(self))
            return attrs.evolve(total, symmetric=True) if mirrored else total
        return attrs.evolve(total, symmetric=False, psd=False)

    def simpler(self) -> Expr | None:
        """X + 0 = x, sums of numbers, and x − x = 0."""
        x, y = self.left, self.right
        if negated(x) == y or negated(y) == x:
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

    def _infer_shape(self) -> Shape:
        if self.left.shape.cols is not self.right.shape.rows or SCALAR in (
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
        middle = _middle(_Chain.of(self)) if self.shape.square else None
        if middle is None:
            return NONNEGATIVE if both else UNKNOWN
        return Facts(0.0 if both else -math.inf, symmetric=True, psd=middle.psd)

    def simpler(self) -> Expr | None:
        """I x = x I = x."""
        return (
            self.right if self.left.is_identity else self.left if self.right.is_identity else None
        )

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

    def _infer_shape(self) -> Shape:
        return self.arg.shape.transposed

    def _infer_facts(self) -> Facts:
        return self.arg.facts

    def simpler(self) -> Expr | None:
        """(xᵀ)ᵀ = x, (c x)ᵀ = c xᵀ for a number c, and xᵀ = x where x is symmetric."""
        return _simpler_transpose(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return n.transposed(self.arg)


def assure(expr: Expr, facts: Facts) -> Expr:
    """Return an expression with facts that its structure does not show.

    A rewrite knows them of what it replaces: ‖m‖_* ≥ 0 is not seen in ⟨m, polar(m)⟩. They are no
    part of equality, and passes hand them on (`structure.rebuild`).
    """
    known = expr.facts
    if known is facts or known == facts or known & facts == known:
        return expr
    return attrs.evolve(expr, assured=facts & expr.assured)


def how_nonnegative(expr: Expr) -> str:
    """Return what to write for an expression whose sign is not known, where ≥ 0 is needed."""
    shown = str(expr) if expr.depth == 1 else "x"
    if hasattr(expr, "domain"):
        return f"annotate it: {shown}: nd.NonNegative, or nd.Positive"
    never = f"if it is never negative, nd.maximum({shown}, 0)"
    return f"use nd.abs({shown}), {shown} ** 2, or, {never}"


def negated(expr: Expr) -> Expr | None:
    """Return x if `expr` is written −x, otherwise None."""
    match expr:
        case Mul(left=c, right=x) if is_constant(c, -1):
            return x
        case Constant(value=v, dims=dims) if v < 0:
            return Constant(-v, dims, where=expr.where)
    return None


def factors_of(expr: Expr) -> list[Expr]:
    """Return the factors of an entrywise product, in order; the rest of a long one stays one."""
    factors: list[Expr] = []
    left = [expr]
    while left:
        factor = left.pop()
        if isinstance(factor, Mul) and len(factors) + len(left) < _LONGEST:
            left += (factor.right, factor.left)
        else:
            factors.append(factor)
    return factors


def sign_of(factors: Iterable[Expr]) -> int:
    """Return 1 if no entry of a product can be negative, −1 if none can be positive, else 0.

    Each factor with a sign of its own, and each pair of factors with the same unknown sign, counts.
    """
    sign, open_signs = 1, set[Expr]()
    for factor in factors:
        base = factor.sign_like
        if base.facts.high <= 0 and not base.facts.nonnegative:
            sign = -sign
        elif not base.facts.nonnegative:
            open_signs ^= {base}
    return 0 if open_signs else sign


def signed(expr: Expr, n: Notation) -> tuple[bool, Expr]:
    """Return whether an expression is written with a minus, and what follows the sign.

    Two minus signs cancel, and one in a multiple comes to the front; a name is written as it is.
    """
    minus, size = False, expr
    while size not in n.names or size in n.inside:
        positive = negated(size)
        positive = _negated_multiple(size, n) if positive is None else positive
        if positive is None:
            break
        minus, size = not minus, positive
    return minus, size


def _negated_multiple(expr: Expr, n: Notation) -> Expr | None:
    """Return c x of a multiple c (−x), otherwise None."""
    match expr:
        case Mul(left=c, right=Mul(left=one, right=x) as y) if c.shape == SCALAR != x.shape:
            return mul(c, x) if is_constant(one, -1) and y not in n.names else None
    return None


@attrs.frozen
class _Diagonal:
    """The factor diag(d) of a matrix product, which is how a row or column d multiplies entries."""

    entries: Expr


_Factor = Expr | _Diagonal


def mutually_symmetric(x: Expr, y: Expr) -> bool:
    """Return whether x ∘ y, and what else treats them alike, is symmetric: both are, or x = yᵀ."""
    return (x.facts.symmetric and y.facts.symmetric) or (x.shape.square and _mirrored(x, y))


def _mirrored(x: _Factor, y: _Factor) -> bool:
    """Return whether x is yᵀ, as far as their operations show, however the two are written."""
    if isinstance(x, _Diagonal) or isinstance(y, _Diagonal):
        return x == y
    if x.shape != y.shape.transposed:
        return False
    if x == transpose(y) or y == transpose(x):
        return True
    match x, y:
        case Add(), Add():
            terms, others = _terms(x), _terms(y)
            return len(terms) == len(others) <= _LONGEST and _paired(terms, others)
        case Mul(left=a, right=b), Mul(left=c, right=d):
            c, d = (c, d) if a.shape == c.shape.transposed else (d, c)
            return _mirrored(a, c) and _mirrored(b, d)
    if type(x) is type(y) and x.commutes_with_transpose and notes(x, Expr) == notes(y, Expr):
        return all(map(_mirrored, x.children, y.children))
    return type(y) is not Add and _Chain.of(x).mirrors(_Chain.of(y))


def _paired(terms: list[Expr], others: list[Expr]) -> bool:
    """Return whether each of the terms is the transpose of another one of the others."""
    left = list(others)
    for term in terms:
        partner = next((x for x in left if _mirrored(term, x)), None)
        if partner is None:
            return False
        left.remove(partner)
    return not left


def _balanced(expr: Expr) -> bool:
    """Return whether the transpose of a sum has the same terms as the sum itself, X + Xᵀ."""
    terms = [x for x in _terms(expr) if not x.facts.symmetric]
    return len(terms) <= _LONGEST and _paired(terms, terms)


def _terms(expr: Expr) -> list[Expr]:
    """Return the terms of a sum; a transposed sum has the transposes of its terms."""
    match expr:
        case Add(left=x, right=y) if x.shape == y.shape:
            return _terms(x) + _terms(y)
        case Transpose(arg=Add() as x):
            return [transpose(term) for term in _terms(x)]
        case _:
            return [expr]


@attrs.frozen
class _Chain:
    """A matrix product: its factors in order, and the scalars among them.

    Of a long one, only the first factors are read.
    """

    factors: tuple[_Factor, ...]
    scalars: tuple[Expr, ...]

    @classmethod
    def of(cls, expr: Expr) -> _Chain:
        """Return the factors of an expression; of what is no product, itself."""
        found: list[_Factor] = []
        scalars: list[Expr] = []
        stack: list[_Factor] = [expr]
        while stack and len(found) <= _LONGEST:
            top = stack.pop()
            match top:
                case MatMul(left=x, right=y):
                    stack += [y, x]
                case Transpose(arg=MatMul(left=x, right=y)):
                    stack += [transpose(x), transpose(y)]
                case Transpose(arg=Mul(left=x, right=y)) if _is_array(x) != _is_array(y):
                    stack.append(Mul(transpose(x), transpose(y), where=None))
                case Mul(left=x, right=y) if SCALAR in (x.shape, y.shape):
                    number, array = (x, y) if x.shape == SCALAR else (y, x)
                    scalars.append(number)
                    stack.append(array)
                case Mul(left=x, right=y) if _line(x) and not _line(y):
                    stack += _scaled(y, x)
                case Mul(left=x, right=y) if _line(y) and not _line(x):
                    stack += _scaled(x, y)
                case _:
                    found.append(top)
        return cls(tuple(found), tuple(scalars))

    def mirrors(self, other: _Chain) -> bool:
        """Return whether it is the other one read backwards."""
        alike = 1 < len(self.factors) == len(other.factors) <= _LONGEST
        return (
            alike
            and sorted(map(hash, self.scalars)) == sorted(map(hash, other.scalars))
            and all(map(_mirrored, self.factors, reversed(other.factors)))
        )

    @property
    def nonnegative(self) -> bool:
        """Whether its scalars multiply to a number ≥ 0."""
        return sign_of(self.scalars) > 0


def _middle(chain: _Chain) -> Facts | None:
    """Return the facts of S if a product is A S Aᵀ with a symmetric S, of I if it is A Aᵀ."""
    half, odd = divmod(len(chain.factors), 2)
    mirrored = len(chain.factors) <= _LONGEST and all(
        _mirrored(chain.factors[i], chain.factors[-1 - i]) for i in range(half)
    )
    if not mirrored:
        return None
    centre = chain.factors[half] if odd else None
    if isinstance(centre, _Diagonal):
        definite = centre.entries.facts.nonnegative
    elif centre is not None and not centre.facts.symmetric:
        return None
    else:
        definite = centre is None or centre.facts.psd
    return Facts(symmetric=True, psd=definite and chain.nonnegative)


def _is_array(expr: Expr) -> bool:
    """Return whether it has rows and columns, as neither numbers nor single lines of them do."""
    return Dim.ONE not in (expr.shape.rows, expr.shape.cols)


def _line(expr: Expr) -> bool:
    """Return whether an array is a single row or a single column."""
    return expr.shape != SCALAR and Dim.ONE in (expr.shape.rows, expr.shape.cols)


def _scaled(array: Expr, line: Expr) -> list[_Factor]:
    """Return the factors of array ∘ line, the last one first."""
    if line.shape.rows is Dim.ONE:
        return [_Diagonal(line), array]
    return [array, _Diagonal(transpose(line))]


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


def as_expr(value: Any) -> Expr:
    """Return `value` as an expression; numbers become constants.

    A value of another class that stands for an expression gives it by a method `__expr__`.

    Raises:
        DeclarationError: for anything that is neither an expression nor a number.
    """
    if isinstance(value, Expr):
        return value
    if hasattr(type(value), "__expr__"):
        return as_expr(value.__expr__())
    known = value if isinstance(value, Fraction) else number(value)
    if known is None:
        raise DeclarationError(
            f"use {kind(value)} in an expression",
            why="an expression is made of real numbers, hyper-parameters and nd.G, nd.W, nd.t, …",
            hint="pass a number, or what functions of normdsl return",
        )
    return Constant(exact(known))


def exact(value: Number) -> Fraction:
    """Return the simplest fraction that rounds to `value`, so that 1/3 and 0.1 mean what they say.

    Raises:
        DeclarationError: if the number is infinite or NaN.
    """
    if isinstance(value, float):
        if value - value != 0.0:
            raise DeclarationError(
                f"use the number {value}", why="it is not finite", hint="use a finite number"
            )
        simple = Fraction(value).limit_denominator(1000)
        return simple if float(simple) == value else Fraction(repr(float(value)))
    return Fraction(value)


def is_constant(expr: Expr, value: int) -> bool:
    """Return whether `expr` is a constant array filled with `value`."""
    return isinstance(expr, Constant) and expr.value == value


def simplest(node: Expr) -> Expr:
    """Return a node, or the simpler expression that it is equal to."""
    found = node.simpler()
    return node if found is None else found


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
