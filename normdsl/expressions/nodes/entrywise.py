"""Functions of single entries, the larger of two entries, and remainders."""

from __future__ import annotations

import math

import attrs

from normdsl.errors import DomainError
from normdsl.expressions.expr import Entrywise, Expr, how_nonnegative
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.arithmetic import pointwise
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.expressions.symmetry import mutually_symmetric
from normdsl.show.notation import Level, Notation, Piece


@attrs.frozen
class Function:
    """A real function applied entry by entry, and the facts every pass needs of it.

    Args:
        name: its name. odd: f(−x) = −f(x), and x f(x) ≥ 0. even: f(−x) = f(x).
        degree: d with f(cx) = c^d f(x) for c > 0, or None if there is none.
        low: lower bound of its values. high: upper bound of its values.
        nonnegative_domain: whether it needs x ≥ 0.
        continuous_at_zero: whether it is.
    """

    name: str
    continuous_at_zero: bool = attrs.field(kw_only=True)
    odd: bool = False
    even: bool = False
    degree: int | None = None
    low: float = -math.inf
    high: float = math.inf
    nonnegative_domain: bool = False

    @property
    def zero_at_zero(self) -> bool:
        """Whether f(0) = 0: every odd function's value, and that of an even one of some degree."""
        return self.odd or (self.degree or 0) > 0


ABS = Function("abs", continuous_at_zero=True, even=True, degree=1, low=0.0)
SIGN = Function("sign", continuous_at_zero=False, odd=True, degree=0, low=-1.0, high=1.0)
RECIPROCAL = Function("reciprocal", continuous_at_zero=False, odd=True, degree=-1)
EXP = Function("exp", continuous_at_zero=True, low=0.0)
LOG = Function("log", continuous_at_zero=False, nonnegative_domain=True)
COS = Function("cos", continuous_at_zero=True, even=True, low=-1.0, high=1.0)
TANH = Function("tanh", continuous_at_zero=True, odd=True, low=-1.0, high=1.0)

FUNCTIONS = {f.name: f for f in (ABS, SIGN, RECIPROCAL, EXP, LOG, COS, TANH)}


@attrs.frozen(eq=False, repr=False)
class Apply(Entrywise):
    """f(x), entry by entry. `reciprocal` is the pseudo-inverse of a number: 1/x, and 0 at 0."""

    function: Function
    arg: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The argument of a function that is zero at zero."""
        return (self.arg,) if self.function.zero_at_zero else ()

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The argument of a function that is not continuous at zero."""
        return () if self.function.continuous_at_zero else (self.arg,)

    @property
    def sign_like(self) -> Expr:
        """That of x, of an odd function of x."""
        return self.arg.sign_like if self.function.odd else self

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        f, x = self.function, self.arg.facts
        if f.nonnegative_domain and not x.nonnegative:
            raise DomainError(
                f"take the {f.name}",
                at=self.arg,
                why="it needs an argument known to be ≥ 0, and this one may have either sign",
                hint=how_nonnegative(self.arg),
            )
        kept = x.nonnegative and f.odd
        symmetric = x.symmetric and self.shape != SCALAR
        return Facts(0.0 if kept else f.low, f.high, symmetric=symmetric)

    def simpler(self) -> Expr | None:
        """(x⁺)⁺ = x."""
        match self.arg:
            case Apply(function=f, arg=x) if f == self.function == RECIPROCAL:
                return x
        return None

    def _notate(self, n: Notation) -> Piece:
        if self.function == RECIPROCAL:
            return n.power(self.arg, Piece("+", Level.ATOM))
        return n.call(self.function.name, self.arg)


def absolute(x: Expr) -> Expr:
    """Return |x| entry by entry."""
    return Apply(ABS, x)


@attrs.frozen(eq=False, repr=False)
class Maximum(Entrywise):
    """The larger of two, entry by entry."""

    zero_with = ()
    jumps_with = ()

    left: Expr
    right: Expr

    def _infer_shape(self) -> Shape:
        return pointwise(self, "take the maximum of", self.left, self.right)

    def _infer_facts(self) -> Facts:
        x, y = self.left.facts, self.right.facts
        alike = self.left.shape == self.right.shape
        symmetric = alike and mutually_symmetric(self.left, self.right)
        return Facts(max(x.low, y.low), max(x.high, y.high), symmetric=symmetric)

    def simpler(self) -> Expr | None:
        """max(x, x) = x, the larger of two numbers, and max(0, −x) = 0 for x ≥ 0."""
        x, y = self.left, self.right
        if isinstance(x, Constant) and isinstance(y, Constant):
            return Constant(max(x.value, y.value), self.shape)
        if x == y or (x.shape == self.shape and x.facts.low >= y.facts.high):
            return x
        return y if y.shape == self.shape and y.facts.low >= x.facts.high else None

    def _notate(self, n: Notation) -> Piece:
        return n.call("max", self.left, self.right)

    def _notate_negative(self, n: Notation) -> Piece:
        x, y = self.left.negated, self.right.negated
        return n.negative(self) if x is None or y is None else n.call("min", x, y)


@attrs.frozen(eq=False, repr=False)
class Remainder(Entrywise):
    """x mod y = x − y ⌊x/y⌋ entry by entry, of y ≥ 0: from 0 on and below y, and 0 where y = 0."""

    zero_with = ()

    left: Expr
    right: Expr

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """x, of which the multiples of y are jumps, 0 among them."""
        return (self.left,)

    def _infer_shape(self) -> Shape:
        shape = pointwise(self, "take the remainder of", self.left, self.right)
        if not self.right.facts.nonnegative:
            raise DomainError(
                "take a remainder",
                at=self.right,
                why="x mod y lies between 0 and y, which must be known to be ≥ 0",
                hint=how_nonnegative(self.right),
            )
        return shape

    def _infer_facts(self) -> Facts:
        return Facts(0.0, self.right.facts.high)

    def _notate(self, n: Notation) -> Piece:
        return n.call("mod", self.left, self.right)
