"""Homes: where a process keeps its part of the states of a parameter that is divided.

A state of the parameter's shape is divided as that is. One that an owner computes is whole there,
and nowhere else. Any other one is in parts, or the same on all; users see a DTensor, unless parts
are not those that DTensors make, which are one after the other in a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.members import Member
from normdsl.compiler.layouts.holding import Holding, Unit
from normdsl.compiler.layouts.layout import OWNER, Layout, is_native, real
from normdsl.compiler.layouts.shards import (
    aligned_state,
    is_sharded,
    local,
    mesh_of,
    place_in,
    seen_as,
    whole,
)
from normdsl.compiler.layouts.ways import setting_of, steps_alone
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.sharding.boxes import Box, Cut, common, entries, holders, shares, within
from normdsl.compiler.sharding.boxes import whole as all_of
from normdsl.compiler.sharding.division import division
from normdsl.expressions.shapes import Shape

#: A part of a state, or None if this process has none of a matrix's.
Place = Tensor | None


@attrs.frozen(eq=False)
class Kept:
    """How processes keep a state, of the parameter's shape or of the matrices of a piece.

    Args:
        key: of the state. size: of all of it: that of the parameter, or count, rows and columns.
        units: the matrices. owners: who has that of each whole; None where all have parts of it.
        held: what processes hold. field: the state.
    """

    key: str
    size: tuple[int, ...]
    units: Sequence[Unit]
    owners: Sequence[int | None]
    held: Holding
    field: Field

    def box(self, k: int, process: int) -> Box:
        """Return which part of all of it a process has of one of the matrices."""
        unit, owner = self.units[k], self.owners[k]
        if is_native(self.field):
            if owner is None:
                return common(unit.matrix.box, self.held.shares[process])
            return tuple((first, n * (owner == process)) for first, n in unit.matrix.box)
        lengths = self.size[1], self.size[2]
        if owner is not None:
            return ((unit.number, int(owner == process)), *all_of(lengths))
        regions = self.held.regions(unit)
        assert regions is not None, "parts are adjacent"
        return ((unit.number, 1), *regions[process].spans(Shape(*self.field.dims), lengths))

    def seen(self, k: int, x: Tensor, box: Box) -> Tensor:
        """Return as a part of a matrix, in the same memory, what a box of one of them has."""
        x = x.view([length for _, length in box])
        return self.units[k].matrix.part(x, box) if is_native(self.field) else x[0]

    def sources(self, k: int) -> Sequence[int]:
        """Return the processes that together have it of one of the matrices."""
        owner = self.owners[k]
        return holders(self.held.cuts)[0] if owner is None else [owner]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole state, as it is saved."""
        return self.size[1:] if self.is_one else self.size

    @property
    def is_one(self) -> bool:
        """Whether the first axis counts one matrix, and is left out."""
        return not is_native(self.field) and self.size[0] == 1

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What axes of the mesh do to the state of all matrices, if DTensors can say so."""
        if is_native(self.field):
            return self.held.cuts
        axes = []
        for dim in self.held.dims:
            axis = None if dim is None or dim not in self.field.dims else self.field.dims.index(dim)
            axes.append(None if axis is None else axis + 1)
        pairs = zip(axes, self.held.cuts, strict=True)
        return tuple(attrs.evolve(cut, axis=axis) for axis, cut in pairs)

    @property
    def is_regular(self) -> bool:
        """Whether the parts of it are those of a DTensor."""
        if any(owner is not None for owner in self.owners):
            return False
        if is_native(self.field) or all(cut.axis is None for cut in self.cuts):
            return True
        parts, every = enumerate(shares(self.size, self.cuts)), range(len(self.units))
        return all(self.box(k, process)[1:] == part[1:] for process, part in parts for k in every)


def kept(
    layout: Layout, param: Any, held: Holding, owners: Sequence[int], field: Field
) -> list[Kept]:
    """Return how processes keep a state: of the parameter's shape, or piece after piece.

    Args:
        layout: how the parameter steps. param: the parameter. held: what processes hold.
        owners: of its matrices. field: the state.
    """
    place, program = layout.fields.index(field), layout.stepper.program
    own: list[int | None] = []
    for unit, owner in zip(held.units, owners, strict=True):
        if steps_alone(layout, held):
            own.append(None if is_native(field) else owner)
        else:
            owned = division(program, setting_of(layout, param, held, unit, owner)).owned[place]
            own.append(owner if owned else None)
    if is_native(field):
        return [Kept(field.name, layout.shape, held.units, own, held, field)]
    found = []
    for k, (key, (count, *size)) in enumerate(zip(layout.stored(field), layout.sizes, strict=True)):
        numbers = [j for j, u in enumerate(held.units) if u.piece == k]
        lengths = count, *field.lengths((size[0], size[1]))
        units = [held.units[j] for j in numbers]
        found.append(Kept(key, lengths, units, [own[j] for j in numbers], held, field))
    return found


def homes(
    member: Member, field: Field, dtype: torch.dtype, memory: Tensor | None = None
) -> tuple[dict[str, Any], list[Place]]:
    """Return a state as users see it, by its keys, and the part of each matrix in its memory.

    Args:
        member: the parameter, with the state as it was. field: the state. dtype: it is kept in.
        memory: for its entries, of a parameter that is one matrix; None to take some.
    """
    held, param = member.held, member.param
    assert held is not None, "the parameter is divided"
    seen, places = dict[str, Any](), list[Place]()
    for each in kept(member.layout, param, held, member.owners, field):
        if is_native(field) and each.is_regular:
            part = real(local(param))
            if memory is None:
                own = torch.empty_like(part, dtype=dtype, requires_grad=False)
            else:
                own = memory.view(part.shape)
            own.copy_(aligned_state(member.state[field.name], param))
            share = held.shares[place_in(mesh_of(param))]
            seen[each.key] = seen_as(own, param)
            places += [u.matrix.part(own, share) for u in held.units]
        else:
            seen[each.key], parts = _home(each, member, dtype, memory)
            places += parts
    return seen, places


def _home(
    each: Kept, member: Member, dtype: torch.dtype, memory: Tensor | None
) -> tuple[Any, list[Place]]:
    """Return what a process has of a state, as users see it, and that of each matrix."""
    here, old = place_in(mesh_of(member.param)), member.state[each.key]
    boxes = [each.box(k, here) for k in range(len(each.units))]
    sizes = [entries(box) for box in boxes]
    flat = memory
    if flat is None:
        flat = torch.empty(sum(sizes), dtype=dtype, device=member.param.device)
    parts = torch.split(flat, sizes)
    if OWNER in member.state and not is_sharded(old):
        flat.copy_(old.reshape(-1))
    else:
        total = whole(old).reshape(each.size)
        for part, box in zip(parts, boxes, strict=True):
            part.copy_(total[within(box, all_of(each.size))].reshape(-1))
    known = zip(parts, boxes, each.owners, strict=True)
    places = [
        each.seen(k, part, box) if owner in (None, here) else None
        for k, (part, box, owner) in enumerate(known)
    ]
    return _seen(each, flat, member.param), places


def _placement(cut: Cut, first: int, old: Any) -> Any:
    """Return how an axis of a mesh cuts a state, as the parameter is cut by it."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.placement_types import _StridedShard

    if cut.axis is None:
        return Replicate()
    axis = cut.axis - first
    return _StridedShard(axis, split_factor=old.split_factor) if cut.strided else Shard(axis)


def _seen(each: Kept, home: Tensor, param: Any) -> Any:
    """Return a state as users see it, in the memory where it is kept."""
    from torch.distributed.tensor import DTensor

    if None not in each.owners:
        if len(each.units) == 1:
            return home.view(each.shape if len(home) else (0,) * len(each.shape))
        return home if is_native(each.field) else home.view(-1, *each.size[1:])
    if not each.is_regular:
        return home
    pairs = zip(each.cuts, param.placements, strict=True)
    places = [_placement(cut, int(each.is_one), old) for cut, old in pairs]
    box = each.box(0, place_in(mesh_of(param)))
    size = (each.size[0], *(length for _, length in box[1:]))
    part = home.view(size[1:] if each.is_one else size)
    shape, stride = torch.Size(each.shape), torch.empty(each.shape, device="meta").stride()
    return DTensor.from_local(
        part, param.device_mesh, places, run_check=False, shape=shape, stride=stride
    )
