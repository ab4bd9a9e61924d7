"""Convoys: which matrices cross together, so that some are computed while others travel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import attrs

from normdsl.compiler.sharding.owners import work
from normdsl.compiler.sharding.setting import Setting

#: Bytes of a message between two processes from which on another message costs little beside it:
#: about twice what a fast network carries (50 GB/s a process) while one waits for it (10 µs).
MESSAGE = 2**20


@attrs.frozen
class Load:
    """A matrix that crosses.

    Args:
        setting: of its weights. owner: the number of who computes it.
        moves: how many values of its size cross.
    """

    setting: Setting
    owner: int
    moves: int

    @property
    def work(self) -> int:
        """What it takes a process of its owner."""
        return work(self.setting.shape, self.setting.group)

    @property
    def message(self) -> float:
        """Its bytes in a message of a process to an owner, or back, on average over owners."""
        m, n = self.setting.shape
        bytes_ = self.moves * m * n * self.setting.wire
        return bytes_ / (2 * self.setting.processes * self.setting.parts)


def convoys(loads: Sequence[Load]) -> list[int]:
    """Return for each matrix in which convoy it crosses, from 0.

    In each convoy every owner has about the same share of its work, the costliest matrices first.
    There are so many that messages are not smaller than `MESSAGE`, and no more than an owner has
    matrices: small models cross at once.

    Args:
        loads: of matrices on one mesh of processes, in an order that all have.
    """
    owned: dict[int, list[int]] = defaultdict(list)
    for k in sorted(range(len(loads)), key=lambda k: (-loads[k].work, k)):
        owned[loads[k].owner].append(k)
    if not loads:
        return []
    least = min(sum(x.message for x in loads) // MESSAGE, max(map(len, owned.values())))
    count = max(1, int(least))
    found = [0] * len(loads)
    for own in owned.values():
        total, done = sum(loads[k].work for k in own), 0
        for k in own:
            found[k] = done * count // total
            done += loads[k].work
    numbers = {k: place for place, k in enumerate(sorted(set(found)))}  # some may have nothing
    return [numbers[k] for k in found]
