"""Staggering: at which steps each parameter's kept values are computed, so that work is even.

A parameter that took `done` steps computes them when (done + offset) % refresh = 0, and at its
first step. Offsets are dealt once, from sizes alone, and are part of the parameter's state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from normdsl.compiler.lowering.plan import Plan


class Turn(NamedTuple):
    """What is kept of a parameter.

    Args:
        program: of its rule. sizes: count, rows and columns of the matrices of each piece.
    """

    program: Plan
    sizes: Sequence[tuple[int, int, int]]

    @property
    def refresh(self) -> int:
        """For how many steps values are kept."""
        return self.program.schedule.refresh

    @property
    def cost(self) -> int:
        """How much it takes to compute them, about: k³ for a k × k matrix."""
        return sum(count * self.program.kept_work((m, n)) for count, m, n in self.sizes)


def dealt(new: Sequence[Turn], others: Iterable[tuple[Turn, int]] = ()) -> list[int]:
    """Return an offset for each new parameter, by which no step has much more work than others.

    The costliest first, each is computed at the next step with the least work; among equals the
    earliest step, so that a parameter alone has offset 0.

    Args:
        new: what begins now. others: what began before, and how far each is in its period: how
            many steps it took, plus its offset.
    """
    loads: dict[int, list[int]] = defaultdict(list)
    for turn, _ in [*others, *((x, 0) for x in new)]:
        loads[turn.refresh] = [0] * turn.refresh
    for turn, place in others:
        loads[turn.refresh][-place % turn.refresh] += turn.cost
    offsets = [0] * len(new)
    for k in sorted(range(len(new)), key=lambda k: -new[k].cost):
        turn, work = new[k], loads[new[k].refresh]
        wait = work.index(min(work)) if turn.program.schedule.stagger else 0
        work[wait] += turn.cost
        offsets[k] = -wait % turn.refresh
    return offsets
