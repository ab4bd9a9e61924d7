"""Exchange: collectives that are begun, and whose results are there once they are finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.utils.weak import WeakIdKeyDictionary

#: The groups along several axes of meshes, as long as these are.
_GROUPS: Any = WeakIdKeyDictionary()


def processes_along(mesh: Any, axes: Sequence[int]) -> list[int]:
    """Return the processes of a mesh along some axes from this one, the last axis fastest."""
    here = mesh.get_coordinate()
    at = tuple(slice(None) if k in axes else x for k, x in enumerate(here))
    found: list[int] = mesh.mesh[at].flatten().tolist()
    return found


def group_of(mesh: Any, axes: Sequence[int]) -> Any:
    """Return the group of the processes along some axes of a mesh; made once, by all of them."""
    if len(axes) == 1:
        return mesh.get_group(axes[0])
    known = _GROUPS.setdefault(mesh, {})
    if tuple(axes) not in known:
        known[tuple(axes)] = distributed.new_group(
            processes_along(mesh, axes), use_local_synchronization=True
        )
    return known[tuple(axes)]


def neighbours(mesh: Any, size: int) -> Any:
    """Return the group of this process among equal groups of neighbours; made once, by all of it.

    Args:
        mesh: the processes, the last axis fastest. size: of a group.
    """
    known = _GROUPS.setdefault(mesh, {})
    if size not in known:
        every = mesh.mesh.flatten().tolist()
        first = every.index(distributed.get_rank()) // size * size
        known[size] = distributed.new_group(
            every[first : first + size], use_local_synchronization=True
        )
    return known[size]


#: Waits for what was begun, on the device where it is computed, and returns it.
Sent = Callable[[], list[Tensor]]


def all_to_all(
    sent: Sequence[Sequence[Tensor]],
    sizes: Sequence[int],
    mesh: Any,
    axes: Sequence[int],
    like: Tensor,
) -> Sent:
    """Begin one collective: what each process along some axes sent to this one, as vectors.

    Args:
        sent: tensors for each process. sizes: how many numbers come from each.
        mesh: of the processes. axes: along which they are, in whose order both are.
        like: a tensor of the dtype that is sent.
    """
    group = group_of(mesh, axes)
    ranks = [distributed.get_group_rank(group, k) for k in processes_along(mesh, axes)]
    flat: list[Tensor] = [like.new_empty(0)] * len(ranks)
    counts, amounts = [0] * len(ranks), [0] * len(ranks)
    for k, rank in enumerate(ranks):
        if sent[k]:
            flat[rank] = torch.cat([x.reshape(-1).to(like.dtype) for x in sent[k]])
        counts[rank], amounts[rank] = sizes[k], flat[rank].numel()
    if not any(amounts) or not any(counts):  # nothing at all is taken for a mistake
        here = distributed.get_rank(group)
        flat[here], amounts[here], counts[here] = like.new_zeros(1), 1, counts[here] + 1
    found = like.new_empty(sum(counts))
    work = distributed.all_to_all_single(
        found, torch.cat(flat), counts, amounts, group, async_op=True
    )

    def finished() -> list[Tensor]:
        work.wait()  # it holds what is sent
        pieces = torch.split(found, counts)
        return [pieces[rank][:size] for rank, size in zip(ranks, sizes, strict=True)]

    return finished


def all_reduce(
    values: Sequence[Tensor], mesh: Any, axes: Sequence[int], largest: bool, dtype: torch.dtype
) -> Sent:
    """Begin to combine tensors over axes of a mesh, in place: one collective for each axis.

    Args:
        values: one for each thing that is combined. mesh: the processes. axes: of the mesh.
        largest: whether the largest is taken, not the sum. dtype: in which it is sent.
    """
    return combine(values, [mesh.get_group(axis) for axis in axes], largest, dtype)


def combine(
    values: Sequence[Tensor], groups: Sequence[Any], largest: bool, dtype: torch.dtype
) -> Sent:
    """Begin to combine tensors over groups of processes, one after the other; see `all_reduce`."""
    operation = distributed.ReduceOp.MAX if largest else distributed.ReduceOp.SUM
    flat = torch.cat([x.reshape(-1).to(dtype) for x in values])
    *first, last = groups
    for group in first:
        distributed.all_reduce(flat, operation, group=group)
    work = distributed.all_reduce(flat, operation, group=last, async_op=True)

    def finished() -> list[Tensor]:
        work.wait()
        for x, new in zip(values, torch.split(flat, [x.numel() for x in values]), strict=True):
            x.copy_(new.reshape(x.shape))
        return list(values)

    return finished
