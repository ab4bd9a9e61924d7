"""Regions: which rows and columns of a matrix each process holds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import attrs

from normdsl.expressions.shapes import Dim, Length, Shape

#: First index and length of a part of an axis.
Span = tuple[int, int]


@attrs.frozen
class Cut:
    """What an axis of a mesh of processes does to a matrix.

    Args:
        dim: the axis of the matrix that it cuts, rows or columns; None if all have the same.
        count: into how many parts. strided: whether it cuts parts that a later axis has made.
    """

    dim: Dim | None
    count: int
    strided: bool = False


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


@lru_cache(maxsize=4096)
def regions(size: tuple[int, int], cuts: Sequence[Cut]) -> tuple[Region, ...]:
    """Return what each process of a mesh holds, the last axis of the mesh running fastest.

    Args:
        size: rows and columns of the matrix. cuts: of each axis of the mesh.
    """
    order = sorted(range(len(cuts)), key=lambda k: cuts[k].strided)
    found = []
    for at in itertools.product(*(range(cut.count) for cut in cuts)):
        spans = {Dim.M: (0, size[0]), Dim.N: (0, size[1])}
        for k in order:
            dim = cuts[k].dim
            if dim is not None:
                spans[dim] = _chunk(spans[dim], cuts[k].count, at[k])
        found.append(Region(spans[Dim.M], spans[Dim.N]))
    return tuple(found)


def _chunk(span: Span, count: int, at: int) -> Span:
    """Return one of the pieces of `torch.chunk`, which may be empty."""
    first, length = span
    size = -(-length // count)
    start = min(at * size, length)
    return first + start, min(size, length - start)


def holders(cuts: Sequence[Cut]) -> tuple[tuple[int, ...], ...]:
    """Return, for each process, those that together hold all parts and are its replica."""
    whole = [range(cut.count) for cut in cuts]
    places = list(itertools.product(*whole))
    number = {at: k for k, at in enumerate(places)}
    found = []
    for at in places:
        axes = [whole[k] if cut.dim is not None else (at[k],) for k, cut in enumerate(cuts)]
        found.append(tuple(number[x] for x in itertools.product(*axes)))
    return tuple(found)
