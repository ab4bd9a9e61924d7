"""Forming: the blocks of the matrices of parameters that several processes hold together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from normdsl.compiler.layouts.ways import setting_of
from normdsl.compiler.sharded.blocks import Block
from normdsl.compiler.sharded.slots import Slot
from normdsl.compiler.sharded.stacks import lying
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.division import division
from normdsl.compiler.sharding.owners import members


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
    """Return what matrices of a block have in common: who holds what, how they lie, whose."""
    held, matrix = slot.member.held, slot.unit.matrix
    assert held is not None, "it is divided"
    lies = lying(1, matrix.size, matrix, matrix.box)
    shared = len(members(slot.owner, len(held.shares)))
    return held.dims, held.regions(slot.unit), lies, len(held.units) == 1, shared


def _order(slot: Slot) -> tuple[int, int]:
    return slot.owner, slot.turn
