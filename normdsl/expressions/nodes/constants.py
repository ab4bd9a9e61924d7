"""Numbers in expressions: arrays filled with one exact number."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs

from normdsl.errors import DeclarationError, kind
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.domains import number
from normdsl.expressions.expr import Expr, Leaf, Operation
from normdsl.expressions.facts import Facts
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.show.notation import Notation, Piece

Number = int | float | Fraction
#: Exact numbers have fewer digits, above and below the line.
_DIGITS = 400
#: π, as far as floating point knows it; written as the letter.
_PI = Fraction("3.141592653589793")


@attrs.frozen(eq=False, repr=False)
class Constant(Leaf, Operation):
    """An array with every entry equal to an exact number.

    Args:
        value: the number. dims: the shape of the array.
    """

    footprint = Footprint.OWN

    value: Fraction
    dims: Shape = SCALAR

    @property
    def negated(self) -> Expr | None:
        """The number without the minus that it is written with."""
        return Constant(-self.value, self.dims, where=self.where) if self.value < 0 else None

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
        if self.value == _PI:
            return n.symbol("pi")
        return n.integer_or_ratio(self.value)


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
