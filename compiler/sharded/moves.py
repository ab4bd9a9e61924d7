"""Moves: values that get from parts to owners whole, or back; planned once.

Every process knows without asking what comes from whom, as all go through blocks and values in one
order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from operator import getitem

import attrs
import torch
from torch import Tensor

from normdsl.compiler.sharded.blocks import Block, Held
from normdsl.compiler.sharding.division import Value
from normdsl.compiler.sharding.exchange import AllToAll

#: Where a piece is in a batch: which matrices, rows and columns.
Place = tuple[slice, slice, slice]


@attrs.frozen
class End:
    """Where a value is before a move, or after it.

    Args:
        name: of the value there. owned: whether owners have it, not all processes.
        size: of the batch that this process has of it; None if it has none.
        pieces: what of it goes to each process along the axes of the move, or comes from each.
    """

    name: str
    owned: bool
    size: tuple[int, int, int] | None
    pieces: Sequence[Place]

    @property
    def lengths(self) -> list[tuple[int, ...]]:
        """The lengths of the axes of each piece."""
        if self.size is None:
            return [(0, 0, 0) for _ in self.pieces]
        return [
            tuple(len(range(length)[at]) for at, length in zip(piece, self.size, strict=True))
            for piece in self.pieces
        ]


#: A piece of nothing.
_NONE = slice(0, 0), slice(0, 0), slice(0, 0)


def gathered(block: Block, value: Value) -> tuple[End, End]:
    """Return the ends of a value that is put together at owners."""
    every = [True for _ in block.peers]
    return _parts(block, value.name, value, every), _wholes(block, value.arrives, value, True)


def scattered(block: Block, value: Value) -> tuple[End, End]:
    """Return the ends of a value that owners divide."""
    sends = [block.sends(value.shape, k) for k in block.peers]
    here = block.sends(value.shape, block.place)
    return _wholes(block, value.name, value, here), _parts(block, value.name, value, sends)


def _parts(block: Block, name: str, value: Value, which: Sequence[bool]) -> End:
    """Return the end that all processes have: pieces are what owners have of their matrices.

    Args:
        which: which of the processes take part as owners.
    """
    size = (block.count, *block.lengths(value.shape, block.here))
    owns = {k: own for owner, own in block.owners.items() for k in block.members(owner)}
    pieces = []
    for k, takes_part in zip(block.peers, which, strict=True):
        _, rows, cols = block.where(value.shape, block.share(k), of=block.here)
        pieces.append((owns[k], rows, cols) if k in owns and takes_part else _NONE)
    return End(name, False, size, pieces)


def _wholes(block: Block, name: str, value: Value, takes_part: bool) -> End:
    """Return the end that an owner has: pieces are the parts of processes.

    Args:
        takes_part: whether this process does, as an owner.
    """
    size = None
    if block.owned and takes_part:
        size = (block.owned, *block.lengths(value.shape, block.there))
    where = [block.where(value.shape, block.regions[k], of=block.there) for k in block.peers]
    return End(name, True, size, where)


class Moves:
    """Values that move together, in one dtype, by one collective.

    Args:
        every: the values: the number of each one's block, and the ends of its move.
        first: one of their blocks. dtype: of what is sent.
    """

    def __init__(
        self, every: Iterable[tuple[int, tuple[End, End]]], first: Block, dtype: torch.dtype
    ) -> None:
        self._every, self._dtype, self._like = list(every), dtype, first.like(0)
        sizes = [[x.lengths for x in ends] for _, ends in self._every]
        sent, coming = ([list(map(math.prod, own[k])) for own in sizes] for k in (0, 1))
        totals = (list(map(sum, zip(*x, strict=True))) for x in (sent, coming))
        self._collective = AllToAll(first.mesh, first.across, *totals)
        order = self._collective.order
        #: The pieces of each value, and their lengths, in the order of the collective.
        self._leaving = [[own.pieces[k] for k in order] for _, (own, _) in self._every]
        self._arriving = [[own.pieces[k] for k in order] for _, (_, own) in self._every]
        self._shapes = [[own[1][k] for k in order] for own in sizes]
        self._counts = [own[k] for k in order for own in coming]

    def begin(self, held: Sequence[Held]) -> Callable[[], None]:
        """Begin to move; what is returned puts values where they are needed, once they are there.

        Args:
            held: what this process has of each block.
        """
        empty = self._like.new_empty(0, dtype=self._dtype)
        columns = list[Iterable[Tensor]]()
        for (k, (source, _)), places in zip(self._every, self._leaving, strict=True):
            side = held[k].owner if source.owned else held[k].shards
            if source.size is None:
                columns.append(repeat(empty, len(places)))
            else:
                x = side[source.name].to(self._dtype)
                columns.append(map(torch.flatten, map(getitem, repeat(x), places)))
        begun = self._collective.begin(torch.cat(list(chain(*zip(*columns, strict=True)))))

        def finish() -> None:
            pieces = torch.split(begun(), self._counts)
            for j in range(len(self._every)):
                self._put(held, j, pieces[j :: len(self._every)])

        return finish

    def _put(self, held: Sequence[Held], j: int, pieces: Sequence[Tensor]) -> None:
        """Put one of the values where it is needed; what nobody sends of it is zero."""
        k, (_, target) = self._every[j]
        if target.size is None:
            return
        covered = sum(self._counts[j :: len(self._every)]) == math.prod(target.size)
        make = self._like.new_empty if covered else self._like.new_zeros
        found = make(target.size)
        side = held[k].owner if target.owned else held[k].shards
        side[target.name] = found
        places = list(map(getitem, repeat(found), self._arriving[j]))
        torch._foreach_copy_(places, list(map(Tensor.view, pieces, self._shapes[j])))
