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
    """

    #: Entries that it takes at once, and the language that it is written in.
    block: ClassVar[int]
    language: ClassVar[str]
    #: How long it took to compile.
    seconds: float = 0.0

    def __init__(
        self, scalars: Scalars, dtypes: Mapping[str, torch.dtype], computed: torch.dtype
    ) -> None:
        self.scalars, self.dtypes, self.computed = scalars, dtypes, computed

    @abstractmethod
    def step(self, table: Table, numbers: Tensor, ok: Tensor | None, write: bool) -> Tensor:
        """Take the step, and return for each member whether all that is new is finite.

        Args:
            table: of the arrays of `scalars`, in order.
            numbers: those of `scalars`, float64, in one row for all or one for each member.
            ok: the members that take it; None for all. Others are left alone, and count as finite.
            write: whether anything is written.
        """

    @abstractmethod
    def largest(self, table: Table, array: int) -> Tensor:
        """Return the largest magnitude in each block, NaN if one is not finite.

        Args:
            table: of the arrays. array: the number of one, 0 for weights and 1 for gradients.
        """
