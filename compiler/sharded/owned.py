"""States that are no DTensors: divided among all processes when they are saved.

Between steps a matrix's owner has its statistics whole, and the others nothing. What is saved is a
DTensor, a part on each process, so that other numbers of processes can load it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.layouts.layout import OWNER, Layout
from normdsl.compiler.layouts.shards import is_sharded, place_in
from normdsl.compiler.layouts.ways import held
from normdsl.compiler.sharded.homes import Kept, kept
from normdsl.compiler.sharding.boxes import Box, Cut, common, entries, holders, shares, within
from normdsl.compiler.sharding.exchange import AllToAll, all_reduce


@attrs.frozen(eq=False)
class _Owned:
    """A state of a parameter that is no DTensor: how it is kept, and what this process has of it.

    Args:
        param: the parameter. kept: where what is. value: what this process has, matrix by matrix.
    """

    param: Any
    kept: Kept
    value: Tensor

    def parts(self, here: int) -> Iterator[tuple[int, Box, Tensor]]:
        """Yield what this process has: of which matrix, which box of all, and its entries."""
        first, flat = 0, self.value.reshape(-1)
        for k in range(len(self.kept.units)):
            box = self.kept.box(k, here)
            size = [length for _, length in box]
            yield k, box, flat[first : first + entries(box)].reshape(size)
            first += entries(box)


def divided(
    layouts: Iterable[tuple[Tensor, Layout]], state: Mapping[Tensor, dict[str, Any]]
) -> dict[Tensor, dict[str, Any]]:
    """Return states without those that only some processes have: DTensors, a part on each.

    Every process that holds the parameters must ask, as for any state of shards.

    Args:
        layouts: of parameters. state: of the optimizer.
    """
    pairs = list(layouts)
    order = dict.fromkeys([*(p for p, _ in pairs), *state])  # that of parameters
    found = {p: dict(state[p]) for p in order}
    groups: dict[tuple[Any, torch.dtype], list[_Owned]] = defaultdict(list)
    for param, layout in pairs:
        if OWNER in found[param]:
            owners: list[int] = found[param].pop(OWNER).reshape(-1).tolist()
            for x in _owned(param, layout, owners, found[param]):
                groups[param.device_mesh, x.value.dtype].append(x)  # type: ignore[attr-defined]
    for (mesh, _), owned in groups.items():
        for x, part in zip(owned, _exchanged(mesh, owned), strict=True):
            found[x.param][x.kept.key] = part
    return found


def _owned(
    param: Tensor, layout: Layout, owners: Sequence[int], state: Mapping[str, Any]
) -> Iterator[_Owned]:
    """Yield the states of a parameter that are no DTensors."""
    holding = held(layout, param)
    assert holding is not None, "what is owned is not gathered"
    for field in layout.fields:
        for each in kept(layout, param, holding, owners, field):
            if not is_sharded(state[each.key]):
                yield _Owned(param, each, state[each.key])


def _exchanged(mesh: Any, owned: Sequence[_Owned]) -> list[Any]:
    """Return the states as DTensors, by one collective, and a second one along other axes."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    last = mesh.ndim - 1
    cuts = tuple(Cut(0 if k == last else None, mesh.size(k)) for k in range(mesh.ndim))
    placements = [Shard(0) if k == last else Replicate() for k in range(mesh.ndim)]
    here, peers = place_in(mesh), holders(cuts)[place_in(mesh)]
    sent: list[list[Tensor]] = [[] for _ in peers]
    sizes, wanted = [0 for _ in peers], list[tuple[int, Tensor]]()
    parts: list[Tensor] = []
    for x in owned:
        targets = [_of_all(x.kept, box) for box in shares(x.kept.shape, cuts)]
        for k, box, part in x.parts(here):
            if here in x.kept.sources(k):
                for j, peer in enumerate(peers):
                    sent[j].append(part[within(common(box, targets[peer]), box)])
        own = x.value.new_zeros([length for _, length in targets[here]])
        for k in range(len(x.kept.units)):
            for source in x.kept.sources(k):
                if source in peers:
                    box = common(x.kept.box(k, source), targets[here])
                    sizes[peers.index(source)] += entries(box)
                    wanted.append((peers.index(source), own[within(box, targets[here])]))
        parts.append(own)
    collective = AllToAll(mesh, [last], [sum(map(Tensor.numel, x)) for x in sent], sizes)
    order, none = collective.order, owned[0].value.new_empty(0)
    found = collective.begin(torch.cat([none, *(x.reshape(-1) for k in order for x in sent[k])]))()
    pieces = torch.split(found, [sizes[k] for k in order])
    received = dict(zip(order, pieces, strict=True))
    done = [0 for _ in peers]
    for j, part in wanted:
        part.copy_(received[j][done[j] :][: part.numel()].reshape(part.shape))
        done[j] += part.numel()
    if last:  # from whoever has it to the others along other axes, which have zeros
        all_reduce(parts, mesh, range(last), False, owned[0].value.dtype)()
    states = []
    for x, own in zip(owned, parts, strict=True):
        shape = torch.Size(x.kept.shape)
        stride = torch.empty(shape, device="meta").stride()
        part = own[0] if x.kept.is_one else own
        states.append(
            DTensor.from_local(part, mesh, placements, run_check=False, shape=shape, stride=stride)
        )
    return states


def _of_all(each: Kept, box: Box) -> Box:
    """Return a box of a state as one of those of all matrices, of which there may be one alone."""
    return ((0, 1), *box) if each.is_one else box
