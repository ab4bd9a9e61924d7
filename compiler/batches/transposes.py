"""Transposes: matrices that stand in a batch transposed, and the order of their entries."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Transposes:
    """The last matrices of a batch, transposed there, whose entries are kept in their own order.

    Args:
        first: the number of the first of them. size: rows and columns of matrices in the batch.
    """

    first: int
    size: tuple[int, int]

    def turned(self, batch: Tensor) -> Tensor:
        """Bring entries from the order of their own matrices into the batch's, in place."""
        part, (m, n) = batch[self.first :], self.size
        part.copy_(part.view(-1, n, m).mT.contiguous())
        return batch

    def unturned(self, batch: Tensor) -> Tensor:
        """Bring them back, in place."""
        part, (m, n) = batch[self.first :], self.size
        part.view(-1, n, m).copy_(part.mT.contiguous())
        return batch

    def copied(self, batch: Tensor, back: bool) -> Tensor:
        """Return a copy of a batch in the other order."""
        copy = batch.clone(memory_format=torch.contiguous_format)
        return self.unturned(copy) if back else self.turned(copy)
