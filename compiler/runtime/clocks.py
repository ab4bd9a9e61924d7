"""Clocks: the step counts of parameters, known on the host as well where they must be."""

from __future__ import annotations

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from normdsl.compiler.runtime.nonfinite import has_values


class Clocks:
    """Step counts as numbers, which are read from the device once.

    A count is good as long as its tensor is written by `count` alone; if anything else wrote it,
    or wrote nothing where a step was skipped, it is read again.
    """

    def __init__(self) -> None:
        self._known = WeakTensorKeyDictionary()

    def read(self, clock: Tensor, sure: bool = True) -> int:
        """Return a step count, from the device if it is not known for sure.

        One without a value counts as the first: what depends on it finds shapes alone.
        """
        if not has_values(clock):
            return 0
        count, version = 0, None
        if clock in self._known:
            count, version = self._known[clock]
        if not sure or version != clock._version:
            count = int(clock)
            self._known[clock] = count, clock._version
        return int(count)

    def count(self, clock: Tensor) -> None:
        """Note that a step was taken, and written to a clock."""
        if clock in self._known:
            count, version = self._known[clock]
            stale = version != clock._version - 1
            self._known[clock] = count + 1, None if stale else clock._version
