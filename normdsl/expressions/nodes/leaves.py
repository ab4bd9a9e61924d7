"""Leaves: streams, hyper-parameters, random draws, identity matrices."""

from __future__ import annotations

import enum

import attrs

from normdsl.errors import ShapeError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.domains import Domain
from normdsl.expressions.expr import Leaf, Operation
from normdsl.expressions.facts import UNIT, UNKNOWN, Facts
from normdsl.expressions.origins import ANYTHING, Origin, joined
from normdsl.expressions.ports import Port
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, SCALAR, Dim, Length, Shape, Space
from normdsl.show.notation import Notation, Piece


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
_ORIGINS = {
    Source.GRADIENT: Origin.GRADIENT,
    Source.WEIGHTS: Origin.WEIGHTS,
    Source.STEP: Origin.STEP,
    Source.LOSS: Origin.LOSS,
    Source.INPUT_MOMENT: Origin.MOMENTS,
    Source.OUTPUT_MOMENT: Origin.MOMENTS,
    Source.ROWS: Origin.LENGTHS,
    Source.COLS: Origin.LENGTHS,
}
_MEANINGS = {
    Source.GRADIENT: "G, the gradient of the loss at the weights, m×n.",
    Source.WEIGHTS: "W, the weights before the step, m×n.",
    Source.STEP: "t, the index of the step, counted from 1.",
    Source.LOSS: "loss, its value at the weights: opt.step(closure), or opt.step(loss=…).",
    Source.INPUT_MOMENT: "E[x xᵀ] of the inputs of the layer y = W x at this step, n×n, which "
    "capture=nd.capture(model) sees.",
    Source.OUTPUT_MOMENT: "E[g gᵀ] of the gradients g at the layer's outputs, m×m, which "
    "capture=nd.capture(model) sees.",
    Source.ROWS: "rows, the number m of rows of the weights: outputs of a linear layer.",
    Source.COLS: "cols, the number n of columns of the weights: inputs of a linear layer.",
}


@attrs.frozen(eq=False, repr=False)
class Stream(Leaf):
    """An input: the gradient, weights, step index, loss, a layer's moments, or a length of W.

    Args:
        source: which of them. port: whose gradient or weights, in a rule over several parameters;
            one without a name is W itself, where it is square or has one column.
    """

    source: Source
    port: Port | None = None

    @property
    def footprint(self) -> Footprint:
        """Its own entry; of moments, and of a parameter beside W, which are other matrices, all."""
        moments = self.source in (Source.INPUT_MOMENT, Source.OUTPUT_MOMENT)
        beside = self.port is not None and self.port.name != ""
        return Footprint.MATRIX if moments or beside else Footprint.OWN

    def _infer_shape(self) -> Shape:
        if self.port is not None:
            return self.port.shape
        return _SHAPES.get(self.source, SCALAR)

    def _infer_facts(self) -> Facts:
        if self.source in (Source.INPUT_MOMENT, Source.OUTPUT_MOMENT):
            return Facts(symmetric=True, psd=True)
        whole = self.source in (Source.STEP, Source.ROWS, Source.COLS)
        return Facts(low=1.0) if whole else UNKNOWN

    def _infer_origins(self) -> Origin:
        return _ORIGINS.get(self.source, ANYTHING)

    def _notate(self, n: Notation) -> Piece:
        if self.port is None or not self.port.name:
            return n.symbol(n.length(self.source.value))
        name = self.port.name
        return n.symbol(name if self.source is Source.WEIGHTS else f"{self.source.value}_{name}")


class _Meaning:
    """The `__doc__` of streams: of each what it delivers, so that help(nd.G) says it."""

    def __init__(self, of_class: str | None) -> None:
        self.of_class = of_class

    def __get__(self, stream: Stream | None, owner: type) -> str | None:
        return self.of_class if stream is None else _MEANINGS[stream.source]


Stream.__doc__ = _Meaning(Stream.__doc__)  # type: ignore[assignment]


@attrs.frozen(eq=False, repr=False)
class Extent(Leaf):
    """The number of dimensions of a space that parameters of a rule share, a scalar."""

    footprint = Footprint.OWN
    commutes_with_transpose = True

    space: Space

    def _infer_shape(self) -> Shape:
        return SCALAR

    def _infer_facts(self) -> Facts:
        return Facts(low=1.0)

    def _infer_origins(self) -> Origin:
        return Origin.LENGTHS

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(self.space.name)


@attrs.frozen(eq=False, repr=False)
class Param(Leaf):
    """A hyper-parameter: a scalar symbol with a domain."""

    footprint = Footprint.OWN
    commutes_with_transpose = True

    name: str
    domain: Domain

    def _infer_shape(self) -> Shape:
        return SCALAR

    def _infer_facts(self) -> Facts:
        return Facts(self.domain.low, self.domain.high)

    def _infer_origins(self) -> Origin:
        return Origin.LOSS_UNIT if self.domain.loss_unit else Origin.HYPER

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(self.name)


class Distribution(enum.Enum):
    """What the entries of a random draw are distributed by, independently of one another."""

    NORMAL = "normal"
    SIGNS = "signs"
    UNIFORM = "uniform"


_LETTERS = {Distribution.NORMAL: "xi", Distribution.SIGNS: "zeta", Distribution.UNIFORM: "u"}


@attrs.frozen(eq=False, repr=False)
class Draw(Leaf):
    """Fresh random entries at every step; draws with the same key and shape are one and the same.

    Args:
        distribution: of the entries. dims: the shape of the array.
        key: tells draws apart.
    """

    footprint = Footprint.OWN

    distribution: Distribution
    dims: Shape
    key: int = 0

    def _infer_shape(self) -> Shape:
        if Dim.MN in (self.dims.rows, self.dims.cols):
            raise ShapeError(
                f"draw {self.dims.phrase} of random numbers",
                why="there is one for each entry of W at most, so that draws stay with entries",
                hint="stack a draw in the shape of W: nd.vec(nd.normal_like(nd.W))",
            )
        return self.dims

    def _infer_facts(self) -> Facts:
        known = {Distribution.SIGNS: UNIT, Distribution.UNIFORM: Facts(0.0, 1.0)}
        return known.get(self.distribution, UNKNOWN)

    def _infer_origins(self) -> Origin:
        return Origin.CHANCE | joined(self.children)

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(_LETTERS[self.distribution] + ("" if self.key == 0 else str(self.key)))


@attrs.frozen(eq=False, repr=False)
class Eye(Leaf, Operation):
    """The identity matrix of size m, n or a rank."""

    is_identity = True
    footprint = Footprint.MATRIX

    dim: Length

    def _infer_shape(self) -> Shape:
        return Shape(self.dim, self.dim)

    def _infer_facts(self) -> Facts:
        return Facts(0.0, 1.0, symmetric=True, psd=True, orthogonal=True)

    def _notate(self, n: Notation) -> Piece:
        return n.symbol("I")
