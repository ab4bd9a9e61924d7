"""Holding: what each process of a mesh has of the matrices that a parameter is seen as."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import attrs

from normdsl.compiler.layouts.layout import Layout
from normdsl.compiler.layouts.shards import is_sharded, place_in
from normdsl.compiler.layouts.view import Sizes, View
from normdsl.compiler.sharding.boxes import (
    Box,
    Cut,
    Matrix,
    Region,
    common,
    entries,
    shares,
    whole,
)
from normdsl.expressions.shapes import Dim


@attrs.frozen
class Unit:
    """A matrix of a parameter.

    Args:
        piece: of the view, in which it is. number: among those of the piece. matrix: where it is.
    """

    piece: int
    number: int
    matrix: Matrix


@attrs.frozen(eq=False, slots=False)
class Holding:
    """What the processes of a mesh have of a parameter.

    Args:
        shape: of the parameter. cuts: what each axis of the mesh does to it.
        units: its matrices, piece after piece.
    """

    shape: Sizes
    cuts: tuple[Cut, ...]
    units: tuple[Unit, ...]

    @property
    def shares(self) -> tuple[Box, ...]:
        """Which box of the parameter each process holds."""
        return shares(self.shape, self.cuts)

    @cached_property
    def lies_whole(self) -> bool:
        """Whether it is cut, and each process holds all of a matrix or nothing of it."""
        boxes = dict.fromkeys(self.shares)
        return len(boxes) > 1 and all(
            u.matrix.is_within(share) is not None for u in self.units for share in boxes
        )

    @cached_property
    def dims(self) -> tuple[Dim | None, ...]:
        """Which axis of matrices each axis of the mesh cuts; None for none, or which of them."""
        return tuple(self.units[0].matrix.dim(cut.axis) for cut in self.cuts)

    @cached_property
    def owners(self) -> tuple[int | None, ...]:
        """The first process that holds all of each matrix, if others hold nothing of it."""
        places = {share: k for k, share in reversed(list(enumerate(self.shares)))}
        return tuple(_owner(u.matrix, places) for u in self.units)

    @cached_property
    def most(self) -> int:
        """How many matrices a process holds all of, at most."""
        return max(len(self.within(share)) for share in dict.fromkeys(self.shares))

    def within(self, share: Box) -> list[int]:
        """Return which matrices are in a box."""
        return [k for k, u in enumerate(self.units) if u.matrix.is_within(share)]

    def regions(self, unit: Unit) -> tuple[Region, ...] | None:
        """Return what each process holds of a matrix; None if that is not adjacent in it."""
        if unit not in self._regions:
            axes = frozenset(dim for dim in self.dims if dim is not None)
            found = {x: unit.matrix.region(x, axes) for x in dict.fromkeys(self.shares)}
            known = tuple(x for share in self.shares if (x := found[share]) is not None)
            self._regions[unit] = known if len(known) == len(self.shares) else None
        return self._regions[unit]

    @cached_property
    def _regions(self) -> dict[Unit, tuple[Region, ...] | None]:
        return {}


def _owner(matrix: Matrix, places: dict[Box, int]) -> int | None:
    """Return who holds all of a matrix, if others hold nothing of it."""
    held = [k for share, k in places.items() if entries(common(matrix.box, share))]
    return held[0] if len(held) == 1 and len(places) > 1 else None


@lru_cache(maxsize=1024)
def _holding(view: View, shape: Sizes, cuts: tuple[Cut, ...]) -> Holding | None:
    pieces = view.matrices(shape)
    if pieces is None:
        return None
    units = [Unit(k, j, x) for k, piece in enumerate(pieces) for j, x in enumerate(piece)]
    found = Holding(shape, cuts, tuple(units))
    fits = found.lies_whole or all(found.regions(u) is not None for u in units)
    return found if fits else None


def holding(layout: Layout, param: Any) -> Holding | None:
    """Return what processes have of a DTensor; None if what they have of a matrix is no part.

    Args:
        layout: how it steps, all of it. param: the parameter.
    """
    return _holding(layout.view, layout.shape, cuts_of(param))


def cuts_of(param: Any) -> tuple[Cut, ...]:
    """Return what each axis of its mesh does to a DTensor."""
    return tuple(
        Cut(getattr(x, "dim", None), param.device_mesh.size(k), hasattr(x, "split_factor"))
        for k, x in enumerate(param.placements)
    )


def share_of(param: Any) -> Box:
    """Return which box of a parameter this process has, over the real numbers."""
    shape = (*param.shape, 2) if param.is_complex() else tuple(param.shape)
    if not is_sharded(param):
        return whole(shape)
    return shares(shape, cuts_of(param))[place_in(param.device_mesh)]


def part_of(layout: Layout, held: Holding, place: int) -> Layout | None:
    """Return how the matrices step that a process has whole; None if it has none."""
    share = held.shares[place]
    if not held.within(share):
        return None
    shape = tuple(length for _, length in share)
    view = layout.view.within(layout.shape, share)
    return Layout(layout.stepper, view, shape, layout, share)
