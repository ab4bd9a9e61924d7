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
from normdsl.compiler.runtime.shards import is_sharded
from normdsl.compiler.sharding.exchange import all_to_all, group_of, ranks_of
from normdsl.compiler.sharding.regions import Cut, Region, regions
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
    """Return the states as DTensors, by one collective."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    last = mesh.ndim - 1
    cuts = tuple(Cut(Dim.M if k == last else None, mesh.size(k)) for k in range(mesh.ndim))
    placements = [Shard(0) if k == last else Replicate() for k in range(mesh.ndim)]
    here = ranks_of(mesh).index(torch.distributed.get_rank(group_of(mesh)))
    count = mesh.size()
    sent: list[list[Tensor]] = [[] for _ in range(count)]
    sizes = [0] * count
    for x in owned:
        places = regions(x.size, cuts)
        sizes[x.owner] += places[here].rows[1] * x.size[1]
        if x.owner == here:
            for k in range(count):
                sent[k].append(x.part(places, k))
    received = all_to_all(sent, sizes, mesh, owned[0].value)
    done, found = [0] * count, []
    for x in owned:
        rows = regions(x.size, cuts)[here].rows[1]
        first = done[x.owner]
        done[x.owner] += rows * x.size[1]
        part = received[x.owner][first : done[x.owner]].reshape(rows, x.size[1])
        found.append(
            DTensor.from_local(
                part,
                mesh,
                placements,
                run_check=False,
                shape=torch.Size(x.size),
                stride=(x.size[1], 1),
            )
        )
    return found
