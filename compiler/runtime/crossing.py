"""Crossing: what blocks exchange after a round, packed into as few collectives as there are kinds.

Every process goes through blocks, values and owners in the same order, so that it knows without
asking how many numbers come from whom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from normdsl.compiler.runtime.blocks import Block, Held
from normdsl.compiler.sharding.division import Round, Value
from normdsl.compiler.sharding.exchange import all_reduce, all_to_all

#: A block, what it has, and what of that crosses.
Crossing = tuple[Block, Held, Round]


def cross(crossing: Sequence[Crossing]) -> None:
    """Let what blocks have after a round get where it is needed."""
    _combine(crossing)
    _move(crossing)


def _combine(crossing: Sequence[Crossing]) -> None:
    """Sum and compare terms over processes, and send to all what an owner has."""
    found: dict[tuple[tuple[int, ...], bool], list[Tensor]] = defaultdict(list)
    for block, held, now in crossing:
        for value in now.summed + now.bounded:
            x = held.shards[value.name].contiguous().clone()
            held.shards[value.name] = x
            found[tuple(block.axes(value.over)), value in now.bounded].append(x)
        for value in now.spread:
            x = block.like(0).new_zeros((block.count, *block.lengths(value.shape)))
            if block.owned:
                x[block.own] = held.owner[value.name]
            held.shards[value.name] = x
            found[tuple(block.axes(None)), False].append(x)
    for (axes, largest), values in found.items():
        all_reduce(values, crossing[0][0].mesh, axes, largest)


def _move(crossing: Sequence[Crossing]) -> None:
    """Put parts together at owners, and divide what owners have."""
    if not any(now.gathered or now.scattered for _, _, now in crossing):
        return
    first = crossing[0][0]
    count, here = len(first.regions), first.place
    sent: list[list[Tensor]] = [[] for _ in range(count)]
    sizes = [0] * count
    taken: list[tuple[int, int, Callable[[Tensor], None]]] = []
    for block, held, now in crossing:
        for value in now.gathered:
            for owner, own in block.owners.items():
                if here in block.holders[owner]:
                    sent[owner].append(held.shards[value.name][own])
            for source, size, take in _gathering(block, held, value):
                sizes[source] += size
                taken.append((source, size, take))
        for value in now.scattered:
            if block.owned:
                for k in range(count):
                    sent[k].append(block.part(held.owner[value.name], value.shape, k))
            for source, size, take in _scattering(block, held, value):
                sizes[source] += size
                taken.append((source, size, take))
    received = all_to_all(sent, sizes, first.mesh, first.like(0))
    done = [0] * count
    for source, size, take in taken:
        take(received[source][done[source] : done[source] + size])
        done[source] += size


def _gathering(
    block: Block, held: Held, value: Value
) -> Iterator[tuple[int, int, Callable[[Tensor], None]]]:
    """Yield what comes to an owner: from whom, how many numbers, and what to do with them."""
    if not block.owned:
        return
    whole = block.like(0).new_empty((block.owned, *block.lengths(value.shape)))
    held.owner[value.arrives] = whole
    for k in block.holders[block.place]:
        part = block.part(whole, value.shape, k)
        yield k, part.numel(), _filling(part)


def _scattering(
    block: Block, held: Held, value: Value
) -> Iterator[tuple[int, int, Callable[[Tensor], None]]]:
    """Yield what comes from owners."""
    size = block.lengths(value.shape, block.place)
    parts = block.like(0).new_empty((block.count, *size))
    held.shards[value.name] = parts
    for owner, own in block.owners.items():
        yield owner, parts[own].numel(), _filling(parts[own])


def _filling(part: Tensor) -> Callable[[Tensor], None]:
    def fill(numbers: Tensor) -> None:
        part.copy_(numbers.reshape(part.shape))

    return fill


def any_of(flag: bool, block: Block) -> bool:
    """Return whether any process says so."""
    told = torch.tensor([float(flag)], device=block.param.device)
    all_reduce([told], block.mesh, block.axes(None), largest=True)
    return bool(told)
