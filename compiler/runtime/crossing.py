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
from normdsl.compiler.sharding.exchange import all_reduce, all_to_all, combine, neighbours
from normdsl.compiler.sharding.rounds import KINDS

#: A block, what it has, and what of that crosses.
Crossing = tuple[Block, Held, Round]
#: A value of a block that moves, and whether it is gathered, or else scattered.
Moving = tuple[Block, Held, Value, bool]
#: What is combined, by the axes of the mesh, whether the largest counts, and the dtype.
Terms = dict[tuple[tuple[int, ...], bool, torch.dtype], list[Tensor]]
#: From which process, and where it goes.
Coming = tuple[int, Tensor]


def cross(crossing: Sequence[Crossing]) -> Iterator[None]:
    """Let what blocks have after a round get where it is needed; yield while it is on its way."""
    for hop, is_due in ((_first_hop, _crosses), (_second_hop, _goes_on)):
        begun = hop(crossing)
        if is_due(crossing):  # also if this process has no part in it: turns are those of all
            yield
        for finish in begun:
            finish()


def _crosses(crossing: Sequence[Crossing]) -> bool:
    return any(getattr(now, kind) for _, _, now in crossing for kind in KINDS)


def _goes_on(crossing: Sequence[Crossing]) -> bool:
    return any(now.scattered and block.along for block, _, now in crossing)


def _first_hop(crossing: Sequence[Crossing]) -> list[Callable[[], object]]:
    """Begin what moves within a replica, what is summed, and what owners send to all."""
    terms: Terms = defaultdict(list)
    pooled: dict[tuple[int, bool, torch.dtype], list[Tensor]] = defaultdict(list)
    for block, held, now in crossing:
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
    return [*_moves(crossing), *_combined(crossing, terms), *_pooled(crossing, pooled)]


def _second_hop(crossing: Sequence[Crossing]) -> list[Callable[[], object]]:
    """Begin to send along replicas what owners scattered: those of other replicas have zeros."""
    terms: Terms = defaultdict(list)
    for block, held, now in crossing:
        for value in now.scattered:
            if block.along:
                how = block.along, False, block.travels_in(value)
                terms[how].append(held.shards[value.name])
    return _combined(crossing, terms)


def _combined(crossing: Sequence[Crossing], terms: Terms) -> list[Callable[[], object]]:
    mesh = crossing[0][0].mesh
    return [all_reduce(values, mesh, *how) for how, values in terms.items()]


def _pooled(
    crossing: Sequence[Crossing], terms: dict[tuple[int, bool, torch.dtype], list[Tensor]]
) -> list[Callable[[], object]]:
    """Begin what owner groups combine, each for itself."""
    mesh = crossing[0][0].mesh
    return [
        combine(values, [neighbours(mesh, size)], largest, dtype)
        for (size, largest, dtype), values in terms.items()
    ]


def _moves(crossing: Sequence[Crossing]) -> Iterator[Callable[[], object]]:
    """Begin to put parts together at owners, and to divide what owners have."""
    every = [
        (block, held, value, value in now.gathered)
        for block, held, now in crossing
        for value in now.gathered + now.scattered
    ]
    kinds: dict[tuple[tuple[int, ...], torch.dtype], list[Moving]] = defaultdict(list)
    for x in every:
        kinds[x[0].across, x[0].travels_in(x[2])].append(x)
    for (axes, dtype), moving in kinds.items():
        yield _moved(moving, axes, dtype)


def _moved(every: Sequence[Moving], axes: Sequence[int], dtype: torch.dtype) -> Callable[[], None]:
    """Begin to move values in one dtype, by one collective along the axes that cut them alike."""
    first = every[0][0]
    place = {k: j for j, k in enumerate(first.peers)}
    sent: list[list[Tensor]] = [[] for _ in place]
    coming: list[Coming] = []
    for block, held, value, gathers in every:
        if gathers:
            for owner, own in block.owners.items():
                x = held.shards[value.name][own]
                for k in block.members(owner):
                    if k in place:
                        part = block.part(x, value.shape, block.share(k), of=block.here)
                        sent[place[k]].append(part)
            coming += _gathering(block, held, value)
        else:
            if block.owned and block.sends(value.shape, block.place):
                x = held.owner[value.name]
                for k in block.peers:
                    part = block.part(x, value.shape, block.regions[k], of=block.there)
                    sent[place[k]].append(part)
            coming += _scattering(block, held, value)
    sizes = [0 for _ in place]
    for source, part in coming:
        sizes[place[source]] += part.numel()
    begun = all_to_all(sent, sizes, first.mesh, axes, first.like(0).to(dtype))

    def finish() -> None:
        received, done = begun(), [0 for _ in place]
        for source, part in coming:
            k = place[source]
            numbers = received[k][done[k] : done[k] + part.numel()]
            part.copy_(numbers.reshape(part.shape))
            done[k] += part.numel()

    return finish


def _gathering(block: Block, held: Held, value: Value) -> Iterator[Coming]:
    """Yield what comes to an owner."""
    if not block.owned:
        return
    own = block.like(0).new_empty((block.owned, *block.lengths(value.shape, block.there)))
    held.owner[value.arrives] = own
    for k in block.peers:
        yield k, block.part(own, value.shape, block.regions[k], of=block.there)


def _scattering(block: Block, held: Held, value: Value) -> Iterator[Coming]:
    """Yield what comes from the owners of this replica; nothing of other owners' is there yet."""
    parts = block.like(0).new_zeros((block.count, *block.lengths(value.shape, block.here)))
    held.shards[value.name] = parts
    for owner, own in block.owners.items():
        for k in block.members(owner):
            if k in block.peers and block.sends(value.shape, k):
                yield k, block.part(parts[own], value.shape, block.share(k), of=block.here)


def any_of(flag: bool, block: Block) -> bool:
    """Return whether any process says so."""
    told = torch.tensor([float(flag)], device=block.param.device)
    all_reduce([told], block.mesh, range(block.mesh.ndim), True, told.dtype)()
    return bool(told)
