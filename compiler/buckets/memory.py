"""Memory: what buckets need during their steps alone, one after the other in the same place."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

#: Bytes between the starts of tensors.
_APART = 64


class Memory:
    """Memory that the buckets of a thread use in turn.

    On CPUs it is kept between steps, as memory that is new takes longer to come by than to write.
    Other devices have an allocator that keeps what is freed.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, torch.device], Tensor] = {}

    def batches(
        self, count: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device
    ) -> list[Tensor]:
        """Return tensors of one shape, with any values; good until they are asked for again."""
        size = math.prod(shape)
        apart = -(-size * dtype.itemsize // _APART) * _APART // dtype.itemsize
        whole = self._bytes(count * apart * dtype.itemsize, device).view(dtype)
        return [whole[k * apart : k * apart + size].view(*shape) for k in range(count)]

    def _bytes(self, count: int, device: torch.device) -> Tensor:
        if device.type != "cpu":
            return torch.empty(count, dtype=torch.uint8, device=device)
        place = threading.get_ident(), device
        kept = self._kept.get(place)
        if kept is None or len(kept) < count:
            kept = self._kept[place] = torch.empty(count, dtype=torch.uint8)
        return kept[:count]
