"""Blocks: matrices of one size, cut alike, whose step processes share; with their states.

Each process has its part of all of them, in one batch. An owner has those that are its own whole,
in another batch, with the states that are kept there.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.lowering.fields import Field, lengths_of
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.runtime.layout import Layout, is_native, real
from normdsl.compiler.runtime.members import Member
from normdsl.compiler.runtime.shards import is_sharded, local, place_in, seen_as, whole
from normdsl.compiler.runtime.views import Flat
from normdsl.compiler.sharding.division import Division, Value, division, why_not_divided
from normdsl.compiler.sharding.regions import Cut, Region, holders, regions
from normdsl.compiler.sharding.setting import Setting, wire_bytes
from normdsl.expressions.shapes import Dim, Shape


def cuts_of(param: Any) -> tuple[Cut, ...] | None:
    """Return how the axes of a mesh cut the matrix that a parameter is; None if they do not."""
    found = []
    dims = {0: Dim.M, 1: Dim.N} if param.ndim == 2 else {0: Dim.M}
    for k, place in enumerate(param.placements):
        dim = getattr(place, "dim", None)
        if dim is not None and dim not in dims:
            return None
        cut = None if dim is None else dims[dim]
        found.append(Cut(cut, param.device_mesh.size(k), hasattr(place, "split_factor")))
    return tuple(found)


def setting_of(layout: Layout, param: Any) -> Setting:
    """Return for which weights a step is divided."""
    cuts = cuts_of(param) or ()
    ((_, rows, cols),) = layout.sizes
    axes = frozenset(cut.dim for cut in cuts if cut.dim is not None)
    replicas = math.prod(cut.count for cut in cuts if cut.dim is None)
    number = layout.stepper.dtype(param).itemsize
    wire = wire_bytes(layout.stepper.program.schedule, number)
    return Setting((rows, cols), axes, param.device_mesh.size(), replicas, number, wire)


def why_gathered(layout: Layout, param: Any) -> str:
    """Return why every process computes the step of a parameter, as the end of a sentence."""
    sizes = layout.sizes
    if param.is_complex() or len(sizes) != 1 or sizes[0][0] != 1:
        return "as it is seen as several matrices, or has complex numbers"
    if param.ndim != 2 and not isinstance(layout.view, Flat):
        return "as it is seen as it is not divided"
    if cuts_of(param) is None:
        return "as it is divided along an axis that is neither rows nor columns"
    return why_not_divided(layout.stepper.program, setting_of(layout, param))


@attrs.define(eq=False)
class Held:
    """What a process has of a block in a step: by name, of its parts and of what it owns."""

    shards: dict[str, Tensor]
    owner: dict[str, Tensor]


class Block:
    """Matrices of one size that are cut alike.

    Args:
        members: the parameters, those of one owner next to one another.
        first: the number of the first of them in the bucket. convoy: with which others they cross.
    """

    def __init__(self, members: Sequence[Member], first: int, convoy: int) -> None:
        self.members, self.first, self.convoy = tuple(members), first, convoy
        lead: Any = members[0]
        self.param: Any = lead.param
        self.layout, self.stepper = lead.layout, lead.layout.stepper
        self.program: Program = self.stepper.program
        self.mesh: Any = self.param.device_mesh
        self.cuts = cuts_of(self.param) or ()
        self.setting = setting_of(lead.layout, self.param)
        self.division: Division = division(self.program, self.setting)
        self.regions: Sequence[Region] = regions(self.setting.shape, self.cuts)
        self.place = place_in(self.mesh)
        self.peers = holders(self.cuts)[self.place]
        self.owners = _slices([m.owner or 0 for m in members])
        self.own = self.owners.get(self.place, slice(0, 0))
        self.dtype = self.stepper.dtype(self.param)
        narrow = self.setting.wire < self.setting.number
        self.wire: torch.dtype = self.dtype
        if narrow:
            self.wire = getattr(torch, self.program.schedule.wire or "")
        self.states: list[Tensor] = []
        self.views: list[dict[str, Tensor]] = [{} for _ in members]
        for k, field in enumerate(self.program.fields):
            self._keep(k, field)

    @property
    def here(self) -> Region:
        """What this process has of each matrix."""
        return self.regions[self.place]

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return len(self.members)

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
        """Return, of a bucket's, what belongs to its members, b × 1 × 1; a scalar as it is."""
        if not each.ndim:
            return each
        return each[self.first : self.first + self.count].reshape(-1, 1, 1)

    def travels_in(self, value: Value) -> torch.dtype:
        """Return the dtype in which a value crosses."""
        return self.wire if value.rounds else self.dtype

    def axes(self, over: Container[Dim | None]) -> list[int]:
        """Return the axes of the mesh that cut some axes of the matrices; None for replicas."""
        return [k for k, cut in enumerate(self.cuts) if cut.dim in over]

    def _keep(self, k: int, field: Field) -> None:
        """Make room for a state of all members, and let them see their own."""
        owned, shape = self.division.owned[k], Shape(*field.dims)
        dtype = self.stepper.kept_dtype(field, self.param)
        count = self.owned if owned else self.count
        size = self.lengths(shape, None if owned else self.place)
        buffer = torch.empty((count, *size), dtype=dtype, device=self.param.device)
        for j, member in enumerate(self.members):
            (key,) = member.layout.stored(field)
            old = member.state[key]
            total = whole(old) if is_sharded(old) else old
            mine = self.own.start <= j < self.own.stop
            if not owned:
                part = buffer[j]
                part.copy_(self.part(total.reshape(self.lengths(shape)), shape, self.place))
                self.views[j][key] = self._shared(part, field, member.param)
            elif mine:
                self.views[j][key] = buffer[j - self.own.start]
                self.views[j][key].copy_(total.reshape(self.lengths(shape)))
            else:
                self.views[j][key] = buffer.new_empty((0, 0))
        self.states.append(buffer)

    def _shared(self, part: Tensor, field: Field, param: Any) -> Any:
        """Return as a DTensor what this process has of a state, in the same memory."""
        from torch.distributed.tensor import DTensor, Replicate, Shard

        if is_native(field):
            return seen_as(part.view(local(param).shape), param)
        places: list[Any] = []
        for cut, place in zip(self.cuts, param.placements, strict=True):
            if cut.dim is None or cut.dim not in field.dims:
                places.append(Replicate())
            elif cut.dim is field.dims[0]:
                places.append(place)
            else:
                places.append(Shard(field.dims.index(cut.dim)))
        size = torch.Size(field.lengths(self.setting.shape))
        stride = torch.empty(size, device="meta").stride()
        return DTensor.from_local(
            part, self.mesh, places, run_check=False, shape=size, stride=stride
        )

    def kept(self, held: Held) -> list[Tensor]:
        """Return the new states in the dtypes in which they are kept."""
        found = []
        passed = self.stepper.passed[1:]
        triples = zip(self.division.news, self.division.owned, passed, self.states, strict=True)
        for name, owned, is_old, old in triples:
            new = old
            if self.owned or not owned:
                new = (held.owner if owned else held.shards)[name]
            found.append(new.to(old.dtype, copy=is_old))
        return found

    def weights(self, held: Held) -> Tensor:
        """Return the new weights, this process's part of them, in their dtype."""
        return held.shards[self.division.weights].to(real(self.param).dtype)

    def olds(self) -> Held:
        """Return the states before the step, where they are."""
        shards: dict[str, Tensor] = {}
        owner: dict[str, Tensor] = {}
        for name, owned, x in zip(
            self.division.olds, self.division.owned, self.states, strict=True
        ):
            (owner if owned else shards)[name] = x.to(self.dtype)
        return Held(shards, owner)


def _slices(owners: Sequence[int]) -> Mapping[int, slice]:
    """Return which members each process owns, which are next to one another."""
    found: dict[int, slice] = {}
    for k, owner in enumerate(owners):
        found[owner] = slice(found[owner].start if owner in found else k, k + 1)
    return found
