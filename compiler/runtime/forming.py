"""Forming: the blocks of the matrices of parameters that several processes hold together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from normdsl.compiler.runtime.blocks import Block, Slot
from normdsl.compiler.runtime.homes import Place
from normdsl.compiler.runtime.members import Member
from normdsl.compiler.runtime.ways import setting_of
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.division import division
from normdsl.compiler.sharding.owners import members


def slots(number: int, member: Member, columns: Sequence[Sequence[Place]]) -> list[Slot]:
    """Return the matrices of a parameter.

    Args:
        number: of the parameter in its bucket. member: the parameter.
        columns: for each state the part of each matrix that this process keeps.
    """
    assert member.held is not None, "it is divided"
    units = member.held.units
    return [
        Slot(number, member, unit, owner, [parts[k] for parts in columns])
        for k, (unit, owner) in enumerate(zip(units, member.owners, strict=True))
    ]


def blocks(every: Sequence[Slot]) -> Iterator[Block]:
    """Yield the blocks of matrices, each in one convoy: those of one owner, then of one turn."""
    found: dict[tuple[Any, ...], list[Slot]] = {}
    for convoy, slot in zip(convoys(list(map(_load, every))), every, strict=True):
        found.setdefault((convoy, *_kind(slot)), []).append(slot)
    for (convoy, *_), same in sorted(found.items(), key=lambda pair: pair[0][0]):
        yield Block(sorted(same, key=_order), convoy)


def _load(slot: Slot) -> Load:
    """Return what of a matrix crosses."""
    held, layout = slot.member.held, slot.member.layout
    assert held is not None, "it is divided"
    setting = setting_of(layout, slot.member.param, held, slot.unit, slot.owner)
    return Load(setting, slot.owner, division(layout.stepper.program, setting).moves)


def _kind(slot: Slot) -> tuple[Any, ...]:
    """Return what matrices of a block have in common: size, who holds what, and a kind of owner."""
    held = slot.member.held
    assert held is not None, "it is divided"
    shared = len(members(slot.owner, len(held.shares)))
    return slot.unit.matrix.size, held.dims, held.regions(slot.unit), shared


def _order(slot: Slot) -> tuple[int, int]:
    stepper = slot.member.layout.stepper
    return slot.owner, stepper.place(slot.member.offset or 0) if stepper.keeps else 0
