"""Metadata: what a plan rests on of tensors, compared without a call of Python for each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch._C import _DisableTorchDispatch
from torch._C._dynamo.guards import TensorGuards


class Metadata:
    """Types, layouts, dtypes, devices, shapes and strides of tensors.

    torch compares them in C++, as it does for code that it has compiled. Modes that see what is
    dispatched, which stand in the keys that it compares, are put aside. A tensor that stands
    twice among the others never fits, so that such a step is planned anew each time.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        free = {"dynamic_dims_sizes": None, "dynamic_dims_strides": None}
        with _DisableTorchDispatch():
            self._guards = TensorGuards(*tensors, **free)

    def fits(self, tensors: Sequence[Tensor | None]) -> bool:
        """Return whether tensors have these, in the same order; None has none."""
        with _DisableTorchDispatch():
            return self._guards.check(*tensors)
