"""Crossing: what blocks exchange after a round, packed into as few collectives as there are kinds.

Every process goes through blocks and values in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from normdsl.compiler.sharded.blocks import Block, Held
from normdsl.compiler.sharded.moves import End, Moves, gathered, scattered
from normdsl.compiler.sharding.division import Round
from normdsl.compiler.sharding.exchange import all_reduce, combine, neighbours
from normdsl.compiler.sharding.rounds import KINDS

#: What is combined, by the axes of the mesh, whether the largest counts, and the dtype.
Terms = dict[tuple[tuple[int, ...], bool, torch.dtype], list[Tensor]]


class Crossing:
    """What crosses after a round; planned once.

    Args:
        rounds: the blocks that take part, and the round of each.
    """

    def __init__(self, rounds: Sequence[tuple[Block, Round]]) -> None:
        self._rounds = rounds
        kinds: dict[tuple[tuple[int, ...], torch.dtype], list[tuple[int, tuple[End, End]]]]
        kinds = defaultdict(list)
        for k, (block, now) in enumerate(rounds):
            for values, ends in ((now.gathered, gathered), (now.scattered, scattered)):
                for value in values:
                    how = block.across, block.travels_in(value)
                    kinds[how].append((k, ends(block, value)))
        self._moves = [
            Moves(every, rounds[every[0][0]][0], dtype) for (_, dtype), every in kinds.items()
        ]
        self._crosses = any(getattr(now, kind) for _, now in rounds for kind in KINDS)
        self._goes_on = any(now.scattered and block.along for block, now in rounds)

    def cross(self, held: Sequence[Held]) -> Iterator[None]:
        """Let what blocks have get where it is needed; yield while it is on its way.

        Args:
            held: what this process has of each block.
        """
        for hop, is_due in (
            (self._first_hop, self._crosses),
            (self._second_hop, self._goes_on),
        ):
            begun = hop(held)
            if is_due:  # also if this process has no part in it: turns are those of all
                yield
            for finish in begun:
                finish()

    def _first_hop(self, every: Sequence[Held]) -> list[Callable[[], object]]:
        """Begin what moves within a replica, what is summed, and what owners send to all."""
        terms: Terms = defaultdict(list)
        pooled: dict[tuple[int, bool, torch.dtype], list[Tensor]] = defaultdict(list)
        for held, (block, now) in zip(every, self._rounds, strict=True):
            for value in now.summed + now.bounded:
                x = held.shards[value.name].contiguous().clone()
                held.shards[value.name] = x
                terms[block.over(value), value in now.bounded, block.dtype].append(x)
            for value in now.pooled + now.peaked if block.owned else ():
                x = held.owner[value.name].contiguous().clone()
                held.owner[value.name] = x
                pooled[block.setting.group, value in now.peaked, block.dtype].append(x)
            for value in now.spread:
                x = block.like(0).new_zeros((block.count, *block.lengths(value.shape)))
                if block.owned and block.sends(value.shape, block.place):
                    block.part(x[block.own], value.shape, block.there)[:] = held.owner[value.name]
                held.shards[value.name] = x
                terms[tuple(range(block.mesh.ndim)), False, block.dtype].append(x)
        moves = [x.begin(every) for x in self._moves]
        return [*moves, *self._combined(terms), *self._pooled(pooled)]

    def _second_hop(self, every: Sequence[Held]) -> list[Callable[[], object]]:
        """Begin to send along replicas what owners scattered: those of others have zeros."""
        terms: Terms = defaultdict(list)
        for held, (block, now) in zip(every, self._rounds, strict=True):
            for value in now.scattered:
                if block.along:
                    how = block.along, False, block.travels_in(value)
                    terms[how].append(held.shards[value.name])
        return self._combined(terms)

    def _combined(self, terms: Terms) -> list[Callable[[], object]]:
        mesh = self._rounds[0][0].mesh
        return [all_reduce(values, mesh, *how) for how, values in terms.items()]

    def _pooled(
        self, terms: dict[tuple[int, bool, torch.dtype], list[Tensor]]
    ) -> list[Callable[[], object]]:
        """Begin what owner groups combine, each for itself."""
        mesh = self._rounds[0][0].mesh
        return [
            combine(values, [neighbours(mesh, size)], largest, dtype)
            for (size, largest, dtype), values in terms.items()
        ]


def any_of(flag: bool, block: Block) -> bool:
    """Return whether any process says so."""
    told = torch.tensor([float(flag)], device=block.param.device)
    all_reduce([told], block.mesh, range(block.mesh.ndim), True, told.dtype)()
    return bool(told)
