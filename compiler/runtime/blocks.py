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

from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.runtime import rounding
from normdsl.compiler.runtime.draws import numbered
from normdsl.compiler.runtime.holding import Unit
from normdsl.compiler.runtime.homes import Place
from normdsl.compiler.runtime.layout import real
from normdsl.compiler.runtime.members import Member
from normdsl.compiler.runtime.shards import mesh_of, place_in
from normdsl.compiler.runtime.ways import setting_of
from normdsl.compiler.sharding.boxes import Cut, Region, common, holders, shares, within
from normdsl.compiler.sharding.boxes import whole as all_of
from normdsl.compiler.sharding.division import Division, Value, division
from normdsl.compiler.sharding.owners import members
from normdsl.expressions.shapes import MATRIX, Dim, Shape


@attrs.define(eq=False)
class Held:
    """What a process has of a block in a step: by name, of its parts and of what it owns."""

    shards: dict[str, Tensor]
    owner: dict[str, Tensor]


@attrs.frozen(eq=False)
class Slot:
    """A matrix in a block.

    Args:
        number: of its parameter in the bucket. member: the parameter. unit: the matrix.
        owner: the number of who owns it.
        homes: for each state its part of it that this process keeps.
    """

    number: int
    member: Member
    unit: Unit
    owner: int
    homes: Sequence[Place]

    def places(self, process: int | None) -> Tensor:
        """Return the numbers in the parameter of a process's entries; of the matrix's for None."""
        held, box = self.member.held, self.unit.matrix.box
        assert held is not None, "its parameter is divided"
        share = box if process is None else common(box, held.shares[process])
        numbers = numbered(held.shape, share, self.member.param.device)
        found: Tensor = self.unit.matrix.part(numbers, share)
        return found


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
        self.homes = [[x for x in column if x is not None] for column in self._columns()]

    def _columns(self) -> list[tuple[Place, ...]]:
        """Return for each state the parts of all matrices that this process keeps."""
        return list(zip(*(slot.homes for slot in self.slots), strict=True))

    @property
    def here(self) -> Region:
        """What this process has of each matrix."""
        return self.regions[self.place]

    @property
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

    def part(self, x: Tensor, shape: Shape, region: Region, of: Region | None = None) -> Tensor:
        """Return what a region has of values, in the same memory.

        Args:
            x: the values. shape: their symbols. region: which is asked for.
            of: which x has; None if it has all.
        """
        full = lengths_of(shape, self.setting.shape)
        inner, outer = region.spans(shape, full), all_of(full)
        if of is not None:
            inner, outer = region.common(of).spans(shape, full), of.spans(shape, full)
        rows, cols = within(inner, outer)
        return x[..., rows, cols]

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
        found = []
        for slot in self.slots:
            assert slot.member.held is not None
            share = slot.member.held.shares[self.place]
            found.append(slot.unit.matrix.part(tensors[slot.number], share))
        return found

    def stacked(self, parts: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return parts as a batch of matrices of a size, in the dtype of the computation."""
        if not parts:
            return self.like(0).new_empty((0, *size))
        return torch.stack([x.reshape(size) for x in parts]).to(self.dtype)

    def kept(self, held: Held, streams: Tensor | None) -> list[Tensor]:
        """Return the new states in the dtypes in which they are kept.

        Args:
            held: what this process has. streams: of random bits of each parameter, if they are
                rounded by chance.
        """
        found = []
        if streams is not None:
            streams = rounding.of_piece(streams[self.numbers], self._pieces).reshape(-1, 1, 1)
        each = zip(self.division.news, self.division.owned, self.program.fields, strict=True)
        for k, (name, owned, field) in enumerate(each):
            if owned and not self.owned:
                found.append(self.like(0))
                continue
            which, side = (self.own, held.owner) if owned else (slice(None), held.shards)
            dtype, shape = self.stepper.kept_dtype(field, self.param), Shape(*field.dims)
            full = lengths_of(shape, self.setting.shape)
            box = all_of(full) if owned else self.here.spans(shape, full)
            stream = None if streams is None else streams[which]
            told = k, side[name], dtype, stream, self._units[which]
            found.append(rounding.kept(*told, (box, full)))
        return found

    @cached_property
    def _units(self) -> Tensor:
        """Which of the matrices of its piece each is."""
        return torch.tensor([x.unit.number for x in self.slots], device=self.param.device)

    @cached_property
    def _pieces(self) -> Tensor:
        """In which piece each is."""
        return torch.tensor([x.unit.piece for x in self.slots], device=self.param.device)

    def weights(self, held: Held) -> Tensor:
        """Return the new weights, this process's part of them, in their dtype."""
        return held.shards[self.division.weights].to(real(self.param).dtype)

    def olds(self) -> Held:
        """Return the states before the step, where they are."""
        found = Held({}, {})
        each = zip(
            self.division.olds, self.division.owned, self.program.fields, self.homes, strict=True
        )
        for name, owned, field, parts in each:
            size = self.lengths(Shape(*field.dims), None if owned else self.here)
            side: dict[str, Tensor] = found.owner if owned else found.shards
            side[name] = self.stacked(parts, size)
        return found


def _slices(owners: Sequence[int]) -> Mapping[int, slice]:
    """Return which members each process owns, which are next to one another."""
    found: dict[int, slice] = {}
    for k, owner in enumerate(owners):
        found[owner] = slice(found[owner].start if owner in found else k, k + 1)
    return found
