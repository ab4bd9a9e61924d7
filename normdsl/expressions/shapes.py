"""Shapes of expressions: pairs of the symbols 1, m, n and mn, ranks, and spaces with names."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any, NoReturn, TypeAlias

import attrs

from normdsl.errors import DeclarationError, with_article


class Dim(enum.Enum):
    """The length of an axis: one, rows or columns of W, its singular values, or its entries."""

    ONE = "1"
    M = "m"
    N = "n"
    K = "min(m, n)"
    MN = "mn"


@attrs.frozen
class Rank:
    """A length that the author chooses: how many directions are kept, min(size, m, n).

    Args:
        size: an expression, a number or the hyper-parameter that will be one.
        share: whether it is a share of the shorter side, ⌈size · min(m, n)⌉.
    """

    size: Any
    share: bool = False

    @property
    def value(self) -> str:
        """How it is written."""
        return f"{self.size} min(m, n)" if self.share else str(self.size)


@attrs.frozen
class Space:
    """A length that parameters of one rule have in common: the dimension of a space, by its name.

    Args:
        name: as the rule calls it.
    """

    name: str

    @property
    def value(self) -> str:
        """How it is written."""
        return self.name


@attrs.frozen
class Size:
    """A length that is known: what a space becomes where a rule meets its parameters.

    Args:
        number: how long.
    """

    number: int

    @property
    def value(self) -> str:
        """How it is written."""
        return str(self.number)


Length: TypeAlias = Dim | Rank | Space | Size


@attrs.frozen
class Shape:
    """A pair of lengths.

    Args:
        rows: length of the first axis. cols: length of the second.
    """

    rows: Length
    cols: Length

    @property
    def transposed(self) -> Shape:
        """The shape with its axes exchanged."""
        return Shape(self.cols, self.rows)

    @property
    def square(self) -> bool:
        """Whether both axes have the same symbol, and it is not 1."""
        return self.rows == self.cols and self.rows is not Dim.ONE

    @property
    def is_line(self) -> bool:
        """Whether it is a single row or column, and no scalar."""
        return self != SCALAR and Dim.ONE in (self.rows, self.cols)

    @property
    def phrase(self) -> str:
        """The shape with its article: "an m×n", "a scalar"."""
        return with_article(str(self))

    def __getitem__(self, axis: Any) -> NoReturn:
        raise _no_number()

    def __iter__(self) -> Iterator[NoReturn]:
        raise _no_number()

    def __str__(self) -> str:
        if self == SCALAR:
            return "scalar"
        return f"{self.rows.value}×{self.cols.value}"


def _no_number() -> DeclarationError:
    """Return the error for lengths taken from a shape, as from that of a tensor."""
    return DeclarationError(
        "take a length from the shape of an expression",
        why="the lengths of W are not known when the rule is declared",
        hint="use the symbols nd.rows and nd.cols, for the lengths m and n of W",
    )


SCALAR = Shape(Dim.ONE, Dim.ONE)
MATRIX = Shape(Dim.M, Dim.N)
LEFT = Shape(Dim.M, Dim.M)
RIGHT = Shape(Dim.N, Dim.N)
STACK = Shape(Dim.MN, Dim.ONE)


def are_lengths(given: Any) -> bool:
    """Return whether it is the shape of a matrix of numbers: two positive whole numbers."""
    lengths = tuple(given) if isinstance(given, Iterable) else ()
    return len(lengths) == 2 and all(isinstance(k, Integral) and int(k) > 0 for k in lengths)


def broadcast(first: Shape, second: Shape) -> Shape | None:
    """Return the shape of a pointwise operation, as torch broadcasts; None if refused."""
    if first == second:
        return first
    rows = _join(first.rows, second.rows)
    cols = _join(first.cols, second.cols)
    return None if rows is None or cols is None else Shape(rows, cols)


def _join(first: Length, second: Length) -> Length | None:
    if first == second or second is Dim.ONE:
        return first
    return second if first is Dim.ONE else None
