"""Journeys: how blocks go through the rounds of a step, convoy by convoy; planned once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.sharded.block_step import BlockStep
from normdsl.compiler.sharded.blocks import Block
from normdsl.compiler.sharded.crossing import Crossing
from normdsl.compiler.sharding.division import Division, Round, surveyed
from normdsl.expressions.nodes import Across

#: What a convoy returns that has arrived.
_ARRIVED = object()


class Journey:
    """A step of all blocks, or what comes before one.

    Args:
        blocks: in the order of their convoys. what: a scalar of all layers, or an evaluation of the
            loss, before which something is computed; None for a step.
    """

    def __init__(self, blocks: Sequence[Block], what: Across | Phase | None = None) -> None:
        self.divisions: list[Division] = [
            x.division if what is None else surveyed(x.program, x.setting, what) for x in blocks
        ]
        convoys = range(blocks[-1].convoy + 1)
        self._convoys = [
            _Convoy([(k, x, self.divisions[k]) for k, x in enumerate(blocks) if x.convoy == number])
            for number in convoys
        ]

    def go(self, stages: Sequence[BlockStep]) -> None:
        """Take all rounds: what one convoy sends travels while the others compute."""
        under_way = [convoy.go(stages) for convoy in self._convoys]
        while under_way:
            under_way = [x for x in under_way if next(x, _ARRIVED) is not _ARRIVED]


class _Convoy:
    """Blocks whose values cross together.

    Args:
        blocks: with their numbers among all, and what is computed.
    """

    def __init__(self, blocks: Sequence[tuple[int, Block, Division]]) -> None:
        self._rounds: list[tuple[list[tuple[int, Round]], Crossing]] = []
        for number in range(max(len(division.rounds) for *_, division in blocks)):
            now = [(k, x, own.rounds[number]) for k, x, own in blocks if number < len(own.rounds)]
            crossing = Crossing([(x, own) for _, x, own in now])
            self._rounds.append(([(k, own) for k, _, own in now], crossing))

    def go(self, stages: Sequence[BlockStep]) -> Iterator[None]:
        """Take all rounds; yield whenever something is on its way."""
        for now, crossing in self._rounds:
            for k, own in now:
                stages[k].compute(own)
            yield from crossing.cross([stages[k].held for k, _ in now])
