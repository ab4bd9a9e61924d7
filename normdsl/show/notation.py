"""A notation turns the pieces of a formula into a string; text and LaTeX are its instances.

Each node says which construct it is (`_notate`), the notation says how that construct is written.
Brackets follow from the precedence of the pieces.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Protocol

import attrs


class Level(enum.IntEnum):
    """How tightly a piece binds; a looser piece inside a tighter place gets brackets."""

    SUM = 1
    PRODUCT = 2
    POWER = 3
    ATOM = 4


@attrs.frozen
class Piece:
    """A written sub-formula and how tightly it binds."""

    text: str
    level: Level


class Notated(Protocol):
    """Anything that can write itself in a notation."""

    def _notate(self, n: Notation) -> Piece: ...


class Notation(ABC):
    """Writes constructs; `names` are the sub-expressions shown as a symbol of their own."""

    def __init__(self, names: Mapping[Any, str] | None = None) -> None:
        self.names = dict(names or {})
        self.inside: set[Any] = set()

    def __call__(self, expr: Any) -> Piece:
        """Write an expression: its name if it has one, otherwise its formula."""
        if isinstance(expr, Piece):
            return expr
        if expr in self.names and expr not in self.inside:
            return self.symbol(self.names[expr])
        piece: Piece = expr._notate(self)
        return piece

    def define(self, expr: Any) -> Piece:
        """Write the formula of a named expression."""
        self.inside.add(expr)
        try:
            piece: Piece = expr._notate(self)
            return piece
        finally:
            self.inside.discard(expr)

    def put(self, expr: Any, level: Level) -> str:
        """Write an expression for a place that needs at least `level`, with brackets if looser."""
        piece = self(expr)
        return piece.text if piece.level >= level else self.brackets(piece.text)

    def sum(self, left: Any, right: Any, minus: bool) -> Piece:
        """Write left + right, or left − right."""
        tail = self.put(right, Level.PRODUCT)
        return Piece(
            f"{self.put(left, Level.SUM)} {self.minus if minus else '+'} {tail}", Level.SUM
        )

    def negative(self, arg: Any) -> Piece:
        """Write −arg."""
        return Piece(f"{self.minus}{self.put(arg, Level.PRODUCT)}", Level.SUM)

    def integer_or_ratio(self, value: Fraction) -> Piece:
        """Write an exact number, as a decimal where that is shorter than the ratio."""
        if value.denominator == 1:
            return Piece(
                str(value).replace("-", self.minus), Level.ATOM if value >= 0 else Level.SUM
            )
        if value.denominator > 16:
            return Piece(f"{float(value):g}".replace("-", self.minus), Level.ATOM)
        return self.ratio(value)

    minus: str

    @abstractmethod
    def brackets(self, text: str) -> str:
        """Write (text)."""

    @abstractmethod
    def symbol(self, name: str) -> Piece:
        """Write the name of a variable or hyper-parameter."""

    @abstractmethod
    def previous(self, name: str) -> Piece:
        """Write the value of a state before this step."""

    @abstractmethod
    def ratio(self, value: Fraction) -> Piece:
        """Write a small exact ratio."""

    @abstractmethod
    def quotient(self, top: Any, bottom: Any) -> Piece:
        """Write top / bottom."""

    @abstractmethod
    def product(self, left: Any, right: Any, entrywise: bool) -> Piece:
        """Write a multiple, or an entrywise product of two arrays."""

    @abstractmethod
    def chain(self, left: Any, right: Any) -> Piece:
        """Write a matrix product."""

    @abstractmethod
    def power(self, base: Any, exponent: Any) -> Piece:
        """Write a power."""

    @abstractmethod
    def root(self, arg: Any) -> Piece:
        """Write a square root."""

    @abstractmethod
    def transposed(self, arg: Any) -> Piece:
        """Write a transpose."""

    @abstractmethod
    def call(self, name: str, *args: Any, sub: Piece | None = None) -> Piece:
        """Write a function or operator applied to arguments, with an optional subscript."""

    @abstractmethod
    def norm(self, inner: Piece, sub: str) -> Piece:
        """Write ‖inner‖ with a subscript."""
