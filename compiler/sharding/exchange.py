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


class AllToAll:
    """A collective in which each process along some axes sends numbers to each; planned once.

    Args:
        mesh: of the processes. axes: along which they are, in whose order both are.
        sent: how many numbers go to each. coming: how many come from each.
    """

    def __init__(
        self, mesh: Any, axes: Sequence[int], sent: Sequence[int], coming: Sequence[int]
    ) -> None:
        self._group = group_of(mesh, axes)
        ranks = [distributed.get_group_rank(self._group, k) for k in processes_along(mesh, axes)]
        #: The places of the processes along the axes, in the order of what is sent, and comes.
        self.order = sorted(range(len(ranks)), key=ranks.__getitem__)
        self._sent, self._coming = ([x[k] for k in self.order] for x in (sent, coming))
        self._pad: int | None = None
        if not any(sent) or not any(coming):  # nothing at all is taken for a mistake
            self._pad = distributed.get_rank(self._group)
            self._sent[self._pad] += 1
            self._coming[self._pad] += 1

    def begin(self, flat: Tensor) -> Callable[[], Tensor]:
        """Begin to send numbers to all, in order; what is returned waits for those that come."""
        if self._pad is not None:
            first = sum(self._sent[: self._pad])
            flat = torch.cat([flat[:first], flat.new_zeros(1), flat[first:]])
        found = flat.new_empty(sum(self._coming))
        work = distributed.all_to_all_single(
            found, flat, self._coming, self._sent, self._group, async_op=True
        )

        def finished() -> Tensor:
            work.wait()  # it holds what is sent
            if self._pad is None:
                return found
            first = sum(self._coming[: self._pad])
            return torch.cat([found[:first], found[first + 1 :]])

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
