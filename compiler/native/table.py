"""Tables: where a kernel finds the tensors of a bucket, and the blocks in which it takes them."""

from __future__ import annotations

from array import array as numbers_of
from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

#: Bytes to which addresses are multiples where a GPU is to read several entries at once.
_ALIGNED = 16


def addresses(tensors: Sequence[Tensor]) -> Tensor:
    """Return where the entries of tensors begin, int64 on the host."""
    found = numbers_of("q", map(Tensor.data_ptr, tensors))
    return torch.frombuffer(found, dtype=torch.int64)


class Table:
    """The addresses of several arrays of each member of a bucket, and the blocks of their entries.

    Args:
        lengths: how many entries each member has. arrays: how many arrays.
        block: how many entries a kernel takes at once. device: of all of them.
    """

    def __init__(
        self, lengths: Sequence[int], arrays: int, block: int, device: torch.device
    ) -> None:
        parts = torch.tensor([-(-length // block) for length in lengths], device=device)
        numbers = torch.arange(len(lengths), device=device)
        member = torch.repeat_interleave(numbers, parts)
        own = torch.arange(len(member), device=device) - (parts.cumsum(0) - parts)[member]
        # For each block the number of its member, its first entry there, and its end.
        self.member = member.to(torch.int32)
        self.first = own * block
        self.last = torch.minimum(self.first + block, torch.tensor(lengths, device=device)[member])
        self.addresses = torch.zeros((arrays, len(lengths)), dtype=torch.int64, device=device)
        # The same on the host, and the rows of it.
        self._known = self.addresses.cpu()
        self._rows = self._known.unbind()
        #: Addresses of members, first and last entries.
        self.pointers = tuple(x.data_ptr() for x in (self.member, self.first, self.last))
        # Arrays that may not start at such multiples, as they moved since it was last asked.
        self._moved: set[int] = set()
        self._uneven: set[int] = set()

    @property
    def members(self) -> int:
        """How many members there are."""
        return self.addresses.shape[1]

    @property
    def aligned(self) -> bool:
        """Whether all arrays start at multiples of 16 bytes."""
        self._uneven -= self._moved
        self._uneven |= {k for k in self._moved if (self._known[k] % _ALIGNED).any()}
        self._moved.clear()
        return not self._uneven

    def put(self, array: int, tensors: Sequence[Tensor]) -> None:
        """Note where an array of each member is now."""
        self.place(array, addresses(tensors))

    def place(self, array: int, now: Tensor) -> None:
        """Note addresses of an array, one for each member, int64 on the host."""
        known = self._rows[array]
        if self._known is self.addresses:
            known.copy_(now)
        elif not torch.equal(now, known):
            known.copy_(now)
            self._moved.add(array)
            self.addresses[array].copy_(known, non_blocking=True)

    def hidden(self, array: int, shown: Tensor, instead: Tensor) -> Table:
        """Return the table as it is, with one tensor for an array of members that are not shown.

        Args:
            array: number of the array. shown: for each member whether it is.
            instead: the tensor, which must outlive the kernel.
        """
        found = copy(self)
        found.addresses = self.addresses.clone()
        found.addresses[array] = torch.where(shown, found.addresses[array], instead.data_ptr())
        return found

    def largest(self, found: Tensor) -> Tensor:
        """Return for each member the largest of what was found in its blocks, NaN if any is."""
        start = torch.zeros(self.members, dtype=found.dtype, device=found.device)
        return start.scatter_reduce(0, self.member.long(), found, "amax")
