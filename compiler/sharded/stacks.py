"""Stacks: matrices, or parts of them, that lie in tensors, and are computed in one batch.

All of one stack lie alike, so that a batch is made by one operation, and written by two.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from normdsl.compiler.sharding.boxes import Box, Matrix, common


@attrs.frozen
class Stack:
    """How the matrices of a batch lie in their tensors.

    Args:
        count: how many there are. size: rows and columns of each.
        lengths: of the axes of each, in the order of its tensor.
        order: these axes, those of rows, then those of columns.
    """

    count: int
    size: tuple[int, int]
    lengths: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def is_straight(self) -> bool:
        """Whether the entries of each follow one another in its tensor, row by row."""
        return list(self.order) == sorted(self.order)

    def batch(self, parts: Sequence[Tensor], like: Tensor) -> Tensor:
        """Return the matrices, count × m × n, in memory of their own.

        Args:
            parts: where each lies; none if nothing of them is here.
            like: of whose dtype and device they are then.
        """
        if not parts:
            return like.new_empty((self.count, *self.size))
        found = torch.stack(list(parts)).permute(0, *[k + 1 for k in self.order])
        return found.reshape(self.count, *self.size)

    def write(self, parts: Sequence[Tensor], new: Tensor, mask: Tensor | None = None) -> None:
        """Write matrices where they lie, of those alone for which a flag says so.

        Args:
            parts: where each lies. new: the matrices. mask: a flag for each; None for all.
        """
        if not parts:
            return
        if mask is not None:
            new = torch.where(mask.reshape(-1, 1, 1), new, self.batch(parts, new))
        found = new.reshape(self.count, *[self.lengths[k] for k in self.order])
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        torch._foreach_copy_(list(parts), found.permute(0, *[k + 1 for k in back]).unbind())


def plain(count: int, size: tuple[int, int]) -> Stack:
    """Return the stack of matrices that are tensors of their own."""
    return Stack(count, size, size, (0, 1))


def lying(count: int, size: tuple[int, int], matrix: Matrix, share: Box) -> Stack:
    """Return the stack of what a process has of matrices, as it has of one.

    Args:
        count: how many there are. size: rows and columns of what it has.
        matrix: one of them. share: what it has of the tensor.
    """
    held, axes = common(matrix.box, share), sorted(matrix.axes)
    lengths = tuple(held[k][1] for k in axes)
    return Stack(count, size, lengths, tuple(axes.index(k) for k in matrix.axes))
