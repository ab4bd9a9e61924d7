"""Midway: native code of what entries become between two matrix operations of a step in stages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from normdsl.compiler.buckets import kernel_numbers
from normdsl.compiler.lowering.stages import Between
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.kernels import kernel
from normdsl.compiler.native.scalars import NotScalarError, Scalars, traced
from normdsl.compiler.native.table import Table, addresses


class Midway:
    """Makes what a function of stages makes, of CPU's matrices, in one pass over memory.

    Args:
        kernel: its native code. total: how many matrices there are. size: rows and columns of each.
    """

    def __init__(self, kernel: Kernel, total: int, size: tuple[int, int]) -> None:
        self.kernel, self._shape = kernel, (total, *size)
        lengths = [size[0] * size[1]] * total
        arrays = kernel.scalars.arrays
        self._table = Table(lengths, len(arrays), kernel.block, torch.device("cpu"))

    def __call__(
        self, W: Tensor, *given: Tensor, loss: Tensor | None = None, **told: float | Tensor
    ) -> tuple[Tensor]:
        """Return what the matrices become, in memory of their own.

        Args:
            W: the weights. given: the matrices. loss: of the step. told: its numbers.
        """
        found = torch.empty(self._shape, dtype=self.kernel.computed)
        whole = [x.expand(self._shape).contiguous() for x in given]
        for k, x in enumerate((*whole, found), 2):  # W and G come first, and are not read
            self._table.place(k, addresses(x.unbind()))
        names = self.kernel.scalars.numbers
        known = {"loss": 0.0 if loss is None else loss, "slope": 1.0, **told}
        numbers = kernel_numbers.rows(names, known, self._shape[0], found.device)
        self.kernel.step(self._table, numbers, None, write=True)
        return (found,)


def midway(
    between: Between,
    numbers: tuple[str, ...],
    dtype: torch.dtype,
    total: int,
    size: tuple[int, int],
) -> Midway | None:
    """Return native code for a function that stages call; None if it does not do all of that.

    Args:
        between: the function. numbers: names of the numbers that it is told.
        dtype: of the computation. total: how many matrices there are. size: of each.

    Raises:
        OSError: if it cannot be compiled.
    """
    found = _lines(between, numbers)
    if found is None:
        return None
    return Midway(kernel(found, (dtype,) * len(found.arrays), dtype, "cpu"), total, size)


@lru_cache(maxsize=256)
def _lines(between: Between, numbers: tuple[str, ...]) -> Scalars | None:
    """Return what a function does to an entry; None if no native code does an operation of it."""

    def made(W: Tensor, G: Tensor, *given: Tensor, **told: Tensor) -> Sequence[Tensor]:
        return between.make(W, *given, **told)

    try:
        return traced(made, ("W", "G", *between.arrays), ("made",), numbers)
    except NotScalarError:
        return None
