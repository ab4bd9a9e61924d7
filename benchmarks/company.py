"""Company: how busy other processes kept the processor while something was measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

import attrs

#: Places in the first line of /proc/stat: user, nice, system, irq, softirq, and stolen by a host.
BUSY = (1, 2, 3, 6, 7, 8)


@attrs.frozen
class Clock:
    """Seconds of processors used by everybody, seconds used by this process, and the time."""

    everybody: float
    own: float
    time: float

    @classmethod
    def now(cls) -> Clock | None:
        """Return the clock of now, or None where the system doesn't tell."""
        try:
            fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        except OSError:
            return None
        ticks = os.sysconf("SC_CLK_TCK")
        own = os.times()
        used = own.user + own.system + own.children_user + own.children_system
        return cls(sum(int(fields[k]) for k in BUSY) / ticks, used, time.monotonic())


def since(start: Clock | None) -> float | None:
    """Return how many processors others kept busy since then, on average."""
    end = Clock.now()
    if start is None or end is None:
        return None
    theirs = (end.everybody - start.everybody) - (end.own - start.own)
    return round(max(0.0, theirs) / max(1e-9, end.time - start.time), 2)
