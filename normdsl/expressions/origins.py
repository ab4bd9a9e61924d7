"""What a value comes from: the inputs that it is computed from, all that it can vary with.

A leaf states its own, an operation has the origins of its operands, and a node that states none
may come from anything. The checker asks these sets where a quantity must be the same in two runs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any


class Origin(enum.Flag):
    """Inputs of a rule, as a set."""

    NOTHING = 0
    GRADIENT = enum.auto()
    WEIGHTS = enum.auto()
    LOSS = enum.auto()
    MOMENTS = enum.auto()
    #: The step index.
    STEP = enum.auto()
    #: The lengths m and n of W.
    LENGTHS = enum.auto()
    HYPER = enum.auto()
    #: Hyper-parameters that are values of the loss.
    LOSS_UNIT = enum.auto()
    #: What a recursion carries, which may be anything that it reads.
    STATE = enum.auto()
    #: Random draws.
    CHANCE = enum.auto()
    #: The other layers.
    LAYERS = enum.auto()
    #: A node that does not state its origins.
    UNSTATED = enum.auto()

    def within(self, allowed: Origin) -> bool:
        """Return whether every origin is an allowed one."""
        return not self & ~allowed


NUMBERS = Origin.HYPER | Origin.LOSS_UNIT
#: Origins that do not know of the weights: what comes from these alone moves with no weights.
STILL = NUMBERS | Origin.STEP | Origin.LENGTHS | Origin.LAYERS
#: Origins that are the same in every pair of runs, one of which is a reparametrised twin.
SAME = STILL & ~Origin.LOSS_UNIT
#: Origins that have a value before the first step.
BEFORE_THE_FIRST_STEP = NUMBERS | Origin.LENGTHS | Origin.WEIGHTS | Origin.CHANCE
#: All there are, for nodes that do not state theirs.
ANYTHING = ~Origin.NOTHING


def joined(values: Iterable[Any]) -> Origin:
    """Return what values of several `origins` come from together."""
    found = Origin.NOTHING
    for value in values:
        if value.origins is not found:
            found |= value.origins
    return found
