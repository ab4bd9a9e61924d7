"""Blocks: matrices of one size, cut alike, whose step processes share; with their states.

Each process has its part of all of them, in one batch. An owner has those that are its own whole,
in another batch, with the states that are kept there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.layouts.layout import real
from normdsl.compiler.layouts.shards import mesh_of, place_in
from normdsl.compiler.layouts.ways import setting_of
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.sharded.slots import Slot
from normdsl.compiler.sharded.stacks import lying
from normdsl.compiler.sharding.boxes import Cut, Region, holders, shares, within
from normdsl.compiler.sharding.boxes import whole as all_of
from normdsl.compiler.sharding.division import Division, Value, division
from normdsl.compiler.sharding.owners import members
from normdsl.expressions.shapes import MATRIX, Dim, Shape


@attrs.define(eq=False)
class Held:
    """What a process has of a block in a step: by name, of its parts and of what it owns."""

    shards: dict[str, Tensor]
    owner: dict[str, Tensor]


class Block:
    """Matrices of one size that are cut alike, each with a process as its owner, or each a group.

    Args:
        slots: the matrices, those of one owner next to one another.
        convoy: with which others they cross.
    """

    def __init__(self, slots: Sequence[Slot], convoy: int) -> None:
        self.slots, self.convoy = tuple(slots), convoy
        lead, held = slots[0], slots[0].member.held
        assert held is not None, "its parameter is divided"
        regions = held.regions(lead.unit)
        assert regions is not None, "parts of matrices are adjacent"
        self.param: Any = lead.member.param
        self.stepper = lead.member.layout.stepper
        self.program: Program = self.stepper.program
        self.mesh: Any = mesh_of(self.param)
        self.setting = setting_of(lead.member.layout, self.param, held, lead.unit, lead.owner)
        self.division: Division = division(self.program, self.setting)
        self.regions: Sequence[Region] = regions
        self.cuts, self.dims = held.cuts, held.dims
        self.place = place_in(self.mesh)
        self.peers = holders(held.cuts)[self.place]
        self.owners = _slices([slot.owner for slot in slots])
        mine = (x for k, x in self.owners.items() if self.place in self.members(k))
        self.own = next(mine, slice(0, 0))
        self.dtype = self.stepper.dtype(self.param)
        narrow = self.setting.wire < self.setting.number
        self.wire: torch.dtype = self.dtype
        if narrow:
            self.wire = getattr(torch, self.program.schedule.wire or "")
        #: For each matrix the number of its parameter in the bucket.
        self.numbers = torch.tensor([slot.number for slot in slots], device=self.param.device)
        share = held.shares[self.place]
        own = self.here.rows[1], self.here.cols[1]
        #: How this process's parts of weights lie in what it has of their parameters.
        self.stack = lying(self.count, own, lead.unit.matrix, share)
        #: Of which parameter each is, and where there; of nothing if it has no part of them.
        self._spots = [(slot.number, slot.spot(self.place)) for slot in slots if own[0] * own[1]]
        #: Which matrices of its own an owner computes kept values of, by their place in the period.
        self.turns = _slices([x.turn for x in self.slots[self.own]])
        self._sizes: dict[tuple[Division, bool], Mapping[str, tuple[int, int]]] = {}

    @property
    def here(self) -> Region:
        """What this process has of each matrix."""
        return self.regions[self.place]

    @cached_property
    def there(self) -> Region:
        """What this process has of each matrix that it owns."""
        return self.share(self.place)

    def members(self, owner: int) -> range:
        """Return the processes that are an owner."""
        return members(owner, self.setting.processes)

    def share(self, place: int) -> Region:
        """Return what a process has of a matrix that it owns, alone or in a group."""
        setting = self.setting
        axis = 0 if Dim.M in setting.within else 1
        boxes = shares(setting.shape, (Cut(axis, setting.group),))
        return Region(*boxes[place % setting.group])

    def sends(self, shape: Shape, place: int) -> bool:
        """Return whether a process sends its share of a value that it owns: no other has it."""
        return place % self.setting.group == 0 or not {shape.rows, shape.cols}.isdisjoint(
            self.setting.within
        )

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return len(self.slots)

    @property
    def owned(self) -> int:
        """How many of them this process owns."""
        return len(range(self.own.start, self.own.stop))

    def lengths(self, shape: Shape, region: Region | None = None) -> tuple[int, int]:
        """Return the lengths of a value in a region; of all of it for None."""
        full = lengths_of(shape, self.setting.shape)
        if region is None:
            return full
        (_, rows), (_, cols) = region.spans(shape, full)
        return rows, cols

    def sizes(self, division: Division, owner: bool) -> Mapping[str, tuple[int, int]]:
        """Return the lengths of all values of a step by name, for one side; found once."""
        if (division, owner) not in self._sizes:
            region = self.there if owner else self.here
            found = {name: self.lengths(x, region) for name, x in division.shapes.items()}
            self._sizes[division, owner] = found
        return self._sizes[division, owner]

    def where(
        self, shape: Shape, region: Region, of: Region | None = None
    ) -> tuple[slice, slice, slice]:
        """Return where what a region has of values is in a batch of them.

        Args:
            shape: of the values. region: which is asked for.
            of: which the batch has; None if it has all.
        """
        full = lengths_of(shape, self.setting.shape)
        inner, outer = region.spans(shape, full), all_of(full)
        if of is not None:
            inner, outer = region.common(of).spans(shape, full), of.spans(shape, full)
        rows, cols = within(inner, outer)
        return slice(None), rows, cols

    def part(self, x: Tensor, shape: Shape, region: Region) -> Tensor:
        """Return what a region has of whole values, in the same memory."""
        return x[self.where(shape, region)]

    def like(self, count: int, region: Region | None = None) -> Tensor:
        """Return a batch of matrices without memory: of their dtype and device.

        Args:
            count: how many. region: what of each; None for all.
        """
        one = torch.empty((), dtype=self.dtype, device=self.param.device)
        return one.expand(count, *self.lengths(MATRIX, region))

    def of_members(self, each: Tensor) -> Tensor:
        """Return, of a bucket's, what belongs to its matrices, b × 1 × 1; a scalar as it is."""
        return each[self.numbers].reshape(-1, 1, 1) if each.ndim else each

    def travels_in(self, value: Value) -> torch.dtype:
        """Return the dtype in which a value crosses."""
        return self.wire if value.rounds else self.dtype

    @property
    def across(self) -> tuple[int, ...]:
        """The axes of the mesh along which processes have parts, or other matrices."""
        return tuple(k for k, cut in enumerate(self.cuts) if cut.axis is not None)

    @property
    def along(self) -> tuple[int, ...]:
        """The axes of the mesh along which processes have the same."""
        return tuple(k for k, cut in enumerate(self.cuts) if cut.axis is None)

    def over(self, value: Value) -> tuple[int, ...]:
        """Return the axes of the mesh over which processes combine what they have of a value.

        Where no axis of it is cut, who has nothing of the matrix learns it as well.
        """
        alike = not {value.shape.rows, value.shape.cols} & self.setting.axes
        return tuple(
            k for k in self.across if self.dims[k] in value.over or (alike and not self.dims[k])
        )

    def parts(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the part of each matrix in what this process has of all parameters of a bucket."""
        return [tensors[k] if at is None else tensors[k][at] for k, at in self._spots]

    def stacked(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return parts of all matrices as a batch, in the dtype of the computation.

        Args:
            tensors: what this process has of all parameters of a bucket.
        """
        return self.stack.batch(self.parts(tensors), self.like(0)).to(self.dtype)

    def places(self, which: slice, owner: bool) -> Tensor:
        """Return the numbers of entries in their parameters, of parts or of whole matrices.

        Args:
            which: of the matrices. owner: whether whole ones.
        """
        slots, matrix = self.slots[which], self.slots[0].unit.matrix
        if owner:
            stack = lying(len(slots), matrix.size, matrix, matrix.box)
        else:
            stack = attrs.evolve(self.stack, count=len(slots))
        place = None if owner else self.place
        found = [slot.places(place) for slot in slots if owner or self._spots]
        return stack.batch(found, self.numbers)

    def weights(self, held: Held) -> Tensor:
        """Return the new weights, this process's part of them, in their dtype."""
        new = held.shards[self.division.weights].to(real(self.param).dtype)
        return new.clone() if self.stepper.passed[0] else new


def _slices(labels: Sequence[int]) -> Mapping[int, slice]:
    """Return where each label is, as an owner, or a turn; equal ones are next to one another."""
    found: dict[int, slice] = {}
    for k, label in enumerate(labels):
        found[label] = slice(found[label].start if label in found else k, k + 1)
    return found
