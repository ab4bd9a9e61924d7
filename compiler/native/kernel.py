"""Kernel: what native code of an entry-wise program does with the tensors of a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from normdsl.compiler.native.scalars import Scalars
from normdsl.compiler.native.table import Table


class Kernel(ABC):
    """Acts on all tensors of a bucket, through a table of their addresses.

    Args:
        scalars: what happens to an entry. dtypes: of each of its arrays.
        computed: the dtype in which it happens, float32 or float64.
        chance: the arrays that are rounded by chance to bfloat16, with the number of each among
            the states; four of them share the bits of a draw.
    """

    #: Entries that it takes at once, and the language that it is written in.
    block: ClassVar[int]
    language: ClassVar[str]
    #: How long it took to compile.
    seconds: float = 0.0

    def __init__(
        self,
        scalars: Scalars,
        dtypes: Mapping[str, torch.dtype],
        computed: torch.dtype,
        chance: Mapping[str, int],
    ) -> None:
        self.scalars, self.dtypes, self.computed = scalars, dtypes, computed
        self.chance = chance

    @abstractmethod
    def step(
        self,
        table: Table,
        numbers: Tensor,
        ok: Tensor | None,
        write: bool,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Take the step, and return for each member whether all that is new is finite.

        Args:
            table: of the arrays of `scalars`, in order.
            numbers: those of `scalars`, float64, in one row for all or one for each member.
            ok: the members that take it; None for all. Others are left alone, and count as finite.
            write: whether anything is written.
            keys: of the draws by which states are rounded, if they are by chance; for each member
                one for each four states, int64.
        """

    @abstractmethod
    def largest(self, table: Table, array: int) -> Tensor:
        """Return the largest magnitude in each block, NaN if one is not finite.

        Args:
            table: of the arrays. array: the number of one, 0 for weights and 1 for gradients.
        """


def draws(chance: Mapping[str, int]) -> int:
    """Return how many draws are made for each entry, of which each has the bits of four states."""
    return max(chance.values(), default=-1) // 4 + 1
