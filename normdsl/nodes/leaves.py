"""Leaves: streams, hyper-parameters, random draws, identity matrices."""

from __future__ import annotations

import enum

import attrs

from normdsl.domains import Domain
from normdsl.expr import Expr
from normdsl.facts import UNIT, UNKNOWN, Facts
from normdsl.shapes import MATRIX, SCALAR, Dim, Shape
from normdsl.show.notation import Notation, Piece


class Source(enum.Enum):
    """What a stream delivers at each step."""

    GRADIENT = "G"
    WEIGHTS = "W"
    STEP = "t"
    LOSS = "loss"
    ROWS = "m"
    COLS = "n"


@attrs.frozen(eq=False, repr=False)
class Stream(Expr):
    """An input: the gradient, the weights, the step index, the loss, or a length of W."""

    source: Source

    def _infer_shape(self) -> Shape:
        return MATRIX if self.source in (Source.GRADIENT, Source.WEIGHTS) else SCALAR

    def _infer_facts(self) -> Facts:
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
