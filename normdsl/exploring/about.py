"""What a study's frame knows besides its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from normdsl.declaration import Declaration
from normdsl.exploring.certainty import Certainty
from normdsl.exploring.rounds import Plan


@attrs.frozen
class About:
    """What a frame knows besides its table.

    Args:
        rules: the declarations, by name. certainty: how sure it is. plan: the rounds.
        budget: seconds. spent: of them. task: its name. require: groups. groups: others.
        rounds: for each that was begun, how many designs entered it, and were trained.
    """

    rules: Mapping[str, Declaration]
    certainty: Certainty
    plan: Plan
    budget: float
    spent: float
    task: str
    require: Sequence[str]
    groups: Sequence[str]
    rounds: Sequence[tuple[int, int]]

    @property
    def columns(self) -> list[str]:
        """The names of all groups that there are verdicts of."""
        return [*self.require, *self.groups]
