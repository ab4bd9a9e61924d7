"""Readings: what parameter groups say, read again only where an entry of one has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.parameter_groups import Settings


@attrs.frozen(eq=False)
class Reading:
    """What a parameter group says.

    Args:
        keys, values: its entries as they were. settings: rule, schedule and so on.
        hyper: the hyper-parameters, complete and legal; tensors among them are not read.
    """

    keys: Sequence[str]
    values: Sequence[Any]
    settings: Settings
    hyper: dict[str, Any]

    def holds(self, group: Mapping[str, Any]) -> bool:
        """Return whether a group has the same entries: numbers and tensors themselves."""
        return (
            len(group) == len(self.values)
            and all(map(is_, group.values(), self.values))
            and list(group) == self.keys
        )


@attrs.frozen(eq=False)
class Readings:
    """What all parameter groups say.

    Args:
        each: of them, in order.
        alike: for each the number of the first one with the same hyper-parameters.
    """

    each: Sequence[Reading]
    alike: Sequence[int]

    def holds(self, groups: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether no entry of any group has changed."""
        return len(groups) == len(self.each) and all(map(Reading.holds, self.each, groups))


def read(groups: Sequence[Mapping[str, Any]], before: Readings | None) -> Readings:
    """Return what parameter groups say, as it was read before if nothing has changed.

    Raises:
        HyperparameterError: for a setting or hyper-parameter that is missing or not legal.
    """
    if before is not None and before.holds(groups):
        return before
    each = [
        Reading(
            list(group),
            list(group.values()),
            parameter_groups.settings(group),
            parameter_groups.hyper(group),
        )
        for group in groups
    ]
    return Readings(each, _alike([x.hyper for x in each]))


def _alike(hypers: Sequence[Mapping[str, Any]]) -> list[int]:
    found: dict[tuple[Any, ...], int] = {}
    keys = [
        tuple((k, id(x) if isinstance(x, Tensor) else x) for k, x in hyper.items())
        for hyper in hypers
    ]
    return [found.setdefault(key, k) for k, key in enumerate(keys)]
