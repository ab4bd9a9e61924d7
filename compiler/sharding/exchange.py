"""Exchange: what crosses between processes in a round, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.utils.weak import WeakIdKeyDictionary

#: The groups of meshes of several axes, as long as these are.
_GROUPS: Any = WeakIdKeyDictionary()


def group_of(mesh: Any) -> Any:
    """Return the group of all processes of a mesh; made once, by all of them."""
    if mesh.ndim == 1:
        return mesh.get_group()
    if mesh not in _GROUPS:
        ranks = mesh.mesh.flatten().tolist()
        _GROUPS[mesh] = distributed.new_group(ranks, use_local_synchronization=True)
    return _GROUPS[mesh]


def ranks_of(mesh: Any) -> list[int]:
    """Return the ranks in `group_of(mesh)` of its processes, the last axis running fastest."""
    group = group_of(mesh)
    return [distributed.get_group_rank(group, int(k)) for k in mesh.mesh.flatten().tolist()]


def all_to_all(
    sent: Sequence[Sequence[Tensor]], sizes: Sequence[int], mesh: Any, like: Tensor
) -> list[Tensor]:
    """Return what each process of a mesh sent to this one, as vectors, by one collective.

    Args:
        sent: tensors for each process. sizes: how many numbers come from each.
        mesh: the processes, in whose order both are. like: a tensor of the dtype that is sent.
    """
    ranks = ranks_of(mesh)
    flat: list[Tensor] = [like.new_empty(0)] * len(ranks)
    counts, amounts = [0] * len(ranks), [0] * len(ranks)
    for k, rank in enumerate(ranks):
        if sent[k]:
            flat[rank] = torch.cat([x.reshape(-1).to(like.dtype) for x in sent[k]])
        counts[rank], amounts[rank] = sizes[k], flat[rank].numel()
    if not any(amounts) or not any(counts):  # nothing at all is taken for a mistake
        here = distributed.get_rank(group_of(mesh))
        flat[here], amounts[here], counts[here] = like.new_zeros(1), 1, counts[here] + 1
    found = like.new_empty(sum(counts))
    distributed.all_to_all_single(found, torch.cat(flat), counts, amounts, group_of(mesh))
    pieces = torch.split(found, counts)
    return [pieces[rank][:size] for rank, size in zip(ranks, sizes, strict=True)]


def all_reduce(values: Sequence[Tensor], mesh: Any, axes: Sequence[int], largest: bool) -> None:
    """Combine tensors over axes of a mesh, in place: one collective for each axis.

    Args:
        values: one for each thing that is combined. mesh: the processes. axes: of the mesh.
        largest: whether the largest is taken, not the sum.
    """
    operation = distributed.ReduceOp.MAX if largest else distributed.ReduceOp.SUM
    flat = torch.cat([x.reshape(-1) for x in values])
    for axis in axes:
        distributed.all_reduce(flat, operation, group=mesh.get_group(axis))
    for x, new in zip(values, torch.split(flat, [x.numel() for x in values]), strict=True):
        x.copy_(new.reshape(x.shape))
