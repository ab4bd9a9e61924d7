"""Boxes: parts of a tensor, a span of each axis; what a process holds, and what a matrix is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import attrs

from normdsl.expressions.shapes import Dim, Length, Shape

#: First index and length of a part of an axis.
Span = tuple[int, int]
#: A span for each axis of a tensor.
Box = tuple[Span, ...]


@attrs.frozen
class Cut:
    """What an axis of a mesh of processes does to a tensor.

    Args:
        axis: of the tensor, which it cuts; None if all have the same.
        count: into how many parts. strided: whether it cuts parts that a later axis has made.
    """

    axis: int | None
    count: int
    strided: bool = False


def whole(shape: Sequence[int]) -> Box:
    """Return the box that is all of a tensor."""
    return tuple((0, length) for length in shape)


def common(x: Box, y: Box) -> Box:
    """Return what two boxes have in common; an axis may have nothing."""
    return tuple(_common(a, b) for a, b in zip(x, y, strict=True))


def _common(x: Span, y: Span) -> Span:
    first = min(max(x[0], y[0]), x[0] + x[1])
    return first, max(0, min(x[0] + x[1], y[0] + y[1]) - first)


def within(x: Box, outer: Box) -> tuple[slice, ...]:
    """Return where a box is in a tensor that is another box, of which it is a part."""
    pairs = zip(x, outer, strict=True)
    return tuple(slice(a - first, a - first + length) for (a, length), (first, _) in pairs)


def entries(x: Box) -> int:
    """Return how many entries a box has."""
    return math.prod(length for _, length in x)


def is_run(x: Box, shape: Sequence[int]) -> bool:
    """Return whether the entries of a box follow one another in its tensor, row by row."""
    cut = [k for k, (_, length) in enumerate(x) if length < shape[k]]
    return all(length == 1 for _, length in x[: cut[-1]]) if cut else True


@lru_cache(maxsize=4096)
def shares(shape: tuple[int, ...], cuts: Sequence[Cut]) -> tuple[Box, ...]:
    """Return what each process of a mesh holds, the last axis of the mesh running fastest.

    Args:
        shape: of the tensor. cuts: of each axis of the mesh.
    """
    order = sorted(range(len(cuts)), key=lambda k: cuts[k].strided)
    found = []
    for at in itertools.product(*(range(cut.count) for cut in cuts)):
        spans = list(whole(shape))
        for k in order:
            axis = cuts[k].axis
            if axis is not None:
                spans[axis] = _chunk(spans[axis], cuts[k].count, at[k])
        found.append(tuple(spans))
    return tuple(found)


def _chunk(span: Span, count: int, at: int) -> Span:
    """Return one of the pieces of `torch.chunk`, which may be empty."""
    first, length = span
    size = -(-length // count)
    start = min(at * size, length)
    return first + start, min(size, length - start)


@lru_cache(maxsize=4096)
def holders(cuts: Sequence[Cut]) -> tuple[tuple[int, ...], ...]:
    """Return, for each process, those that together hold all parts and are its replica."""
    ranges = [range(cut.count) for cut in cuts]
    places = list(itertools.product(*ranges))
    number = {at: k for k, at in enumerate(places)}
    found = []
    for at in places:
        axes = [ranges[k] if cut.axis is not None else (at[k],) for k, cut in enumerate(cuts)]
        found.append(tuple(number[x] for x in itertools.product(*axes)))
    return tuple(found)


@attrs.frozen
class Region:
    """The part of a matrix m × n that a process holds.

    Args:
        rows: of its m rows, first and how many. cols: of its n columns.
    """

    rows: Span
    cols: Span

    def span(self, dim: Length, length: int) -> Span:
        """Return which part of an axis is held, of a value that has this axis."""
        if dim is Dim.M:
            return self.rows
        return self.cols if dim is Dim.N else (0, length)

    def spans(self, shape: Shape, lengths: tuple[int, int]) -> tuple[Span, Span]:
        """Return which part is held of a value of some shape."""
        return self.span(shape.rows, lengths[0]), self.span(shape.cols, lengths[1])

    def common(self, other: Region) -> Region:
        """Return what two processes both hold."""
        return Region(_common(self.rows, other.rows), _common(self.cols, other.cols))


@attrs.frozen
class Matrix:
    """A matrix in a tensor: a box of it, whose other axes have length 1.

    Args:
        box: its entries. rows: the axis that its rows are along; None if it has one.
        cols: the axes that its columns are along, the last one running fastest.
    """

    box: Box
    rows: int | None
    cols: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns it has."""
        rows = 1 if self.rows is None else self.box[self.rows][1]
        return rows, math.prod(self.box[k][1] for k in self.cols)

    def dim(self, axis: int | None) -> Dim | None:
        """Return which axis of it an axis of the tensor is; None for another one."""
        if axis is None:
            return None
        return Dim.M if axis == self.rows else Dim.N if axis in self.cols else None

    def moved(self, axis: int, by: int) -> Matrix:
        """Return the matrix further along an axis of a tensor."""
        first, length = self.box[axis]
        return attrs.evolve(
            self, box=(*self.box[:axis], (first + by, length), *self.box[axis + 1 :])
        )

    def is_within(self, share: Box) -> bool | None:
        """Return whether a process holds all of it; None if it holds a part, False if nothing."""
        held = entries(common(self.box, share))
        return bool(held) if held in (0, entries(self.box)) else None

    def region(self, share: Box, axes: frozenset[Dim]) -> Region | None:
        """Return which rows and columns of it a process holds; None if these are not adjacent.

        Args:
            share: what the process holds of the tensor.
            axes: which of rows and columns are cut; of a matrix that it has nothing of, a process
                has no rows, if these are, or else no columns.
        """
        held = common(self.box, share)
        rows = (0, 1) if self.rows is None else self._span(held, self.rows)
        first, length = 0, 1
        for k in self.cols:
            start, part = self._span(held, k)
            if part < self.box[k][1] and length > 1:
                return None
            size = self.box[k][1]
            if part < size or length == 1:
                first, length = first * size + start, length * part
            else:
                first, length = first * size, length * size
        others = [k for k in range(len(held)) if k != self.rows and k not in self.cols]
        if all(held[k][1] for k in others):
            return Region(rows, (first, length))
        if Dim.M in axes:
            return Region((0, 0), (first, length))
        return Region(rows, (0, 0))

    def _span(self, held: Box, axis: int) -> Span:
        return held[axis][0] - self.box[axis][0], held[axis][1]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the tensor that are its own: that of rows, then those of columns."""
        return (*(() if self.rows is None else (self.rows,)), *self.cols)

    def part(self, x: Any, share: Box) -> Any:
        """Return what a process holds of it, in the same memory, without other axes.

        Args:
            x: what the process holds of the tensor. share: which box that is.
        """
        where = self.place(share)
        return x if where is None else x[where]

    def place(self, share: Box) -> tuple[slice | int, ...] | None:
        """Return where it is in what a process holds of the tensor; None if it is all of that.

        Of a matrix of which the process has nothing, other axes are left, without length.
        """
        held = common(self.box, share)
        if held == share and len(share) == len(self.axes):
            return None
        where = within(held, share)
        if not entries(held):
            return where
        return tuple(x if k in self.axes else x.start for k, x in enumerate(where))
