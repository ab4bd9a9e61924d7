"""A notation turns the pieces of a formula into a string; text and LaTeX are its instances.

Each node says which construct it is (`_notate`), the notation says how that construct is written.
Brackets follow from the precedence of the pieces.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Protocol

import attrs

#: The most sub-expressions written in one formula; what is left becomes an ellipsis.
MOST = 3000


#: What the lengths m and n of W are called where these letters name something else.
LENGTHS = {"m": "rows", "n": "cols"}


class Level(enum.IntEnum):
    """How tightly a piece binds; a looser piece inside a tighter place gets brackets."""

    SUM = 1
    ENTRYWISE = 2
    PRODUCT = 3
    POWER = 4
    ATOM = 5


@attrs.frozen
class Piece:
    """A written sub-formula and how tightly it binds."""

    text: str
    level: Level


class Notated(Protocol):
    """Anything that can write itself in a notation."""

    def _notate(self, n: Notation) -> Piece: ...


class Notation(ABC):
    """Writes constructs; `names` are the sub-expressions shown as a symbol of their own.

    `plain` are names to be written as they are, because their symbols would be the same.
    """

    def __init__(self, names: Mapping[Any, str] | None = None) -> None:
        self.names = dict(names or {})
        self.olds: dict[Any, str] = {}
        self.inside: set[Any] = set()
        self.plain: frozenset[str] = frozenset()
        self.left = MOST

    def __call__(self, expr: Any) -> Piece:
        """Write an expression: its name if it has one, otherwise its formula."""
        if isinstance(expr, Piece):
            return expr
        self.left -= 1
        if self.left < 0:
            return Piece(self.ellipsis, Level.ATOM)
        if expr in self.names and expr not in self.inside:
            return self.symbol(self.names[expr])
        piece: Piece = expr._notate(self)
        return piece

    def length(self, letter: str) -> str:
        """Return what to call a length of W: m or n, unless something else has such a name."""
        taken = LENGTHS.keys() & {*self.names.values(), *self.plain}
        return LENGTHS.get(letter, letter) if taken else letter

    def define(self, expr: Any) -> Piece:
        """Write the formula of a named expression."""
        self.inside.add(expr)
        try:
            piece: Piece = expr._notate(self)
            return piece
        finally:
            self.inside.discard(expr)

    @contextmanager
    def within(self, olds: Mapping[Any, str]) -> Iterator[None]:
        """Write the states of a recursion by names of their own, inside its bodies."""
        saved, self.olds = self.olds, {**self.olds, **olds}
        try:
            yield
        finally:
            self.olds = saved

    def put(self, expr: Any, level: Level) -> str:
        """Write an expression for a place that needs at least `level`, with brackets if looser."""
        piece = self(expr)
        return piece.text if piece.level >= level else self.brackets(piece.text)

    def sum(self, left: Any, right: Any, minus: bool) -> Piece:
        """Write left + right, or left − right."""
        tail = self.put(right, Level.ENTRYWISE)
        return Piece(
            f"{self.put(left, Level.SUM)} {self.minus if minus else '+'} {tail}", Level.SUM
        )

    def negative(self, arg: Any) -> Piece:
        """Write −arg."""
        return Piece(f"{self.minus}{self.put(arg, Level.ENTRYWISE)}", Level.SUM)

    def integer_or_ratio(self, value: Fraction) -> Piece:
        """Write an exact number, as a decimal where that is shorter than the ratio."""
        size = abs(value)
        if size.denominator == 1:
            piece = Piece(str(size), Level.ATOM)
        elif size.denominator > 16:
            piece = self.decimal(f"{float(size):g}")
        else:
            piece = self.ratio(size)
        return piece if value >= 0 else Piece(self.minus + piece.text, Level.SUM)

    minus: str
    #: What stands for the rest of a formula that is too long.
    ellipsis: str

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
    def decimal(self, digits: str) -> Piece:
        """Write a positive decimal number, such as 0.001 or 1e-08."""

    @abstractmethod
    def ratio(self, value: Fraction) -> Piece:
        """Write a small positive ratio."""

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
    def comparison(self, left: Any, sign: str, right: Any) -> Piece:
        """Write left < right, or with ≤, > or ≥, given as Python writes them."""

    @abstractmethod
    def cases(self, chosen: Sequence[tuple[Piece, Any]], otherwise: Any) -> Piece:
        """Write a choice: of what stands beside the first condition that holds."""

    @abstractmethod
    def norm(self, inner: Piece, sub: str) -> Piece:
        """Write ‖inner‖ with a subscript."""
