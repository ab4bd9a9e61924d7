"""Published: states where users find them, by which a step knows that nobody replaced any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_, itemgetter
from typing import Any

from torch import Tensor

from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.native.entered import Entered

State = Mapping[Tensor, dict[str, Any]]


class Published:
    """The states of all parameters as they are after a step.

    Args:
        state: where users see them. buckets: whose states they are.
        native: whether native code looks at them.
    """

    def __init__(self, state: State, buckets: Sequence[Bucket], native: bool) -> None:
        self._state, self._buckets = state, buckets
        self._values = list(state.values())
        self._columns = [
            (own.held, name, column) for own in buckets for name, column in own.columns
        ]
        self._entered: Entered | None = None
        if native and isinstance(state, dict) and all(type(x) is dict for x in self._values):
            self._entered = Entered(state, self._columns)

    def holds(self, state: State) -> bool:
        """Return whether they are the same objects, and their step counts those of the buckets."""
        if state is not self._state or not all(own.counted for own in self._buckets):
            return False
        return self._looked() if self._entered is None else self._entered.holds()

    def _looked(self) -> bool:
        now = list(self._state.values())
        if len(now) != len(self._values) or not all(map(is_, now, self._values)):
            return False
        try:
            return all(
                all(map(is_, map(itemgetter(name), held), column))
                for held, name, column in self._columns
            )
        except KeyError:
            return False
