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
from normdsl.compiler.sharding.boxes import Region, common, holders
from normdsl.compiler.sharding.boxes import whole as all_of
from normdsl.compiler.sharding.division import Division, Value, division
from normdsl.expressions.shapes import Shape


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
        owner: who owns it. homes: for each state its part of it that this process keeps.
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
    """Matrices of one size that are cut alike.

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
        self.setting = setting_of(lead.member.layout, self.param, held, lead.unit)
        self.division: Division = division(self.program, self.setting)
        self.regions: Sequence[Region] = regions
        self.cuts, self.dims = held.cuts, held.dims
        self.place = place_in(self.mesh)
        self.peers = holders(held.cuts)[self.place]
        self.owners = _slices([slot.owner for slot in slots])
        self.own = self.owners.get(self.place, slice(0, 0))
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
    def count(self) -> int:
        """How many matrices there are."""
        return len(self.slots)

    @property
    def owned(self) -> int:
        """How many of them this process owns."""
        return len(range(self.own.start, self.own.stop))

    def lengths(self, shape: Shape, place: int | None = None) -> tuple[int, int]:
        """Return the lengths of what a process has of a value; of all of it for None."""
        full = lengths_of(shape, self.setting.shape)
        if place is None:
            return full
        (_, rows), (_, cols) = self.regions[place].spans(shape, full)
        return rows, cols

    def part(self, x: Tensor, shape: Shape, place: int) -> Tensor:
        """Return what a process has of whole values."""
        full = lengths_of(shape, self.setting.shape)
        (r, rows), (c, cols) = self.regions[place].spans(shape, full)
        return x[..., r : r + rows, c : c + cols]

    def like(self, count: int) -> Tensor:
        """Return a batch of whole matrices without memory: of their size, dtype and device."""
        one = torch.empty((), dtype=self.dtype, device=self.param.device)
        return one.expand(count, *self.setting.shape)

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
            size = self.lengths(Shape(*field.dims), None if owned else self.place)
            side: dict[str, Tensor] = found.owner if owned else found.shards
            side[name] = self.stacked(parts, size)
        return found


def _slices(owners: Sequence[int]) -> Mapping[int, slice]:
    """Return which members each process owns, which are next to one another."""
    found: dict[int, slice] = {}
    for k, owner in enumerate(owners):
        found[owner] = slice(found[owner].start if owner in found else k, k + 1)
    return found
