"""Slots: the matrices of a parameter that several processes hold, each with its owner."""

from __future__ import annotations

import attrs
from torch import Tensor

from normdsl.compiler.batches.members import Member
from normdsl.compiler.layouts.draws import numbered
from normdsl.compiler.layouts.holding import Unit
from normdsl.compiler.sharding.boxes import common


@attrs.frozen(eq=False)
class Slot:
    """A matrix in a block.

    Args:
        number: of its parameter in the bucket. member: the parameter.
        index: which of its matrices it is. unit: the matrix. owner: who owns it.
    """

    number: int
    member: Member
    index: int
    unit: Unit
    owner: int

    @property
    def turn(self) -> int:
        """The place of its kept values in the period of refreshes."""
        stepper = self.member.layout.stepper
        return stepper.place(self.member.offset or 0) if stepper.keeps else 0

    def spot(self, process: int) -> tuple[slice | int, ...] | None:
        """Return where a process's part of it is in what it has of the parameter."""
        held = self.member.held
        assert held is not None, "its parameter is divided"
        return self.unit.matrix.place(held.shares[process])

    def places(self, process: int | None) -> Tensor:
        """Return the numbers in the parameter of a process's entries; of the matrix's for None."""
        held, box = self.member.held, self.unit.matrix.box
        assert held is not None, "its parameter is divided"
        share = box if process is None else common(box, held.shares[process])
        numbers = numbered(held.shape, share, self.member.param.device)
        found: Tensor = self.unit.matrix.part(numbers, share)
        return found


def slots(number: int, member: Member) -> list[Slot]:
    """Return the matrices of a parameter.

    Args:
        number: of the parameter in its bucket. member: the parameter.
    """
    assert member.held is not None, "it is divided"
    pairs = zip(member.held.units, member.owners, strict=True)
    return [Slot(number, member, k, *pair) for k, pair in enumerate(pairs)]
