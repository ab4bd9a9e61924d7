"""States that an owner has: divided among all processes when they are saved.

Between steps a matrix's owner has its statistics whole, and the others nothing. What is saved is a
DTensor, a part on each process, so that other numbers of processes can load it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime.layout import OWNER, Layout
from normdsl.compiler.runtime.shards import is_sharded, place_in
from normdsl.compiler.sharding.exchange import all_reduce, all_to_all
from normdsl.compiler.sharding.regions import Cut, Region, holders, regions
from normdsl.expressions.shapes import Dim


@attrs.frozen(eq=False)
class _Owned:
    """A state that is at an owner: of which parameter, its key and whole size, and who owns it."""

    param: Any
    key: str
    size: tuple[int, int]
    owner: int
    value: Tensor

    def part(self, places: Sequence[Region], k: int) -> Tensor:
        """Return what a process is to have of it."""
        first, length = places[k].rows
        return self.value[first : first + length]


def divided(
    layouts: Iterable[tuple[Tensor, Layout]], state: Mapping[Tensor, dict[str, Any]]
) -> dict[Tensor, dict[str, Any]]:
    """Return states without those that only an owner has: DTensors, a part on each process.

    Every process that holds the parameters must ask, as for any state of shards.

    Args:
        layouts: of parameters. state: of the optimizer.
    """
    pairs = list(layouts)
    order = dict.fromkeys([*(p for p, _ in pairs), *state])  # that of parameters
    found = {p: dict(state[p]) for p in order}
    groups: dict[tuple[Any, torch.dtype], list[_Owned]] = defaultdict(list)
    for param, layout in pairs:
        own = state.get(param, {})
        if OWNER not in own:
            continue
        owner = int(found[param].pop(OWNER))
        for field in layout.fields:
            for key, shape in layout.stored(field).items():
                x = own[key]
                if not is_sharded(x):
                    mesh: Any = param.device_mesh  # type: ignore[attr-defined]
                    rows, cols = shape if len(shape) == 2 else (1, *shape)
                    groups[mesh, x.dtype].append(_Owned(param, key, (rows, cols), owner, x))
    for (mesh, _), owned in groups.items():
        for x, part in zip(owned, _exchanged(mesh, owned), strict=True):
            found[x.param][x.key] = part
    return found


def _exchanged(mesh: Any, owned: Sequence[_Owned]) -> list[Any]:
    """Return the states as DTensors, by one collective, and a second one along other axes."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    last = mesh.ndim - 1
    cuts = tuple(Cut(Dim.M if k == last else None, mesh.size(k)) for k in range(mesh.ndim))
    placements = [Shard(0) if k == last else Replicate() for k in range(mesh.ndim)]
    here, peers = place_in(mesh), holders(cuts)[place_in(mesh)]
    sent: list[list[Tensor]] = [[] for _ in peers]
    sizes = [0 for _ in peers]
    for x in owned:
        places = regions(x.size, cuts)
        if x.owner in peers:
            sizes[peers.index(x.owner)] += places[here].rows[1] * x.size[1]
        if x.owner == here:
            for k, peer in enumerate(peers):
                sent[k].append(x.part(places, peer))
    received = all_to_all(sent, sizes, mesh, [last], owned[0].value)()
    done, parts = [0 for _ in peers], []
    for x in owned:
        part = x.value.new_zeros((regions(x.size, cuts)[here].rows[1], x.size[1]))
        if x.owner in peers:
            k = peers.index(x.owner)
            first, done[k] = done[k], done[k] + part.numel()
            part.copy_(received[k][first : done[k]].reshape(part.shape))
        parts.append(part)
    if last:  # from the owner's row of the mesh to the others, which have zeros
        all_reduce(parts, mesh, range(last), False, owned[0].value.dtype)()
    return [
        DTensor.from_local(
            part,
            mesh,
            placements,
            run_check=False,
            shape=torch.Size(x.size),
            stride=(x.size[1], 1),
        )
        for x, part in zip(owned, parts, strict=True)
    ]
