"""Listed: parameter groups as they were planned, by which a step knows that they are unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.parameter_groups import Settings


@attrs.frozen(eq=False)
class Listed:
    """A parameter group as it was when its parameters were planned.

    Args:
        settings: rule, schedule, view and so on. params: its parameters, as they are listed.
        others: those that do not step. idle: which of them had no gradient.
        names: of the parameters.
    """

    settings: Settings
    params: Sequence[Tensor]
    others: Sequence[Tensor]
    idle: Sequence[bool]
    names: object

    def holds(self, group: Mapping[str, Any], said: Settings) -> bool:
        """Return whether a group, whose settings are given, still steps as planned."""
        params = group["params"]
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and [p.grad is None for p in self.others] == self.idle
            and group.get("param_names") == self.names
            and (said is self.settings or said == self.settings)
        )


def listed(group: Mapping[str, Any], said: Settings, live: Sequence[Tensor]) -> Listed:
    """Return a parameter group as it is, with its settings and the parameters that step."""
    params, stepping = list(parameter_groups.parameters(group)), set(live)
    others = [p for p in params if p not in stepping]
    return Listed(
        said,
        params,
        others,
        [p.grad is None for p in others],
        group.get("param_names"),
    )
