"""The clock of a study: its budget, and what was spent of it in this run and in earlier ones."""

from __future__ import annotations

import re
import time

import attrs

from normdsl.errors import NormdslError, shown

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def seconds(budget: str | float) -> float:
    """Return a budget in seconds: a number of them, or a text such as "90s", "5m", "1h30m".

    Raises:
        NormdslError: for anything else, and for no time at all.
    """
    if isinstance(budget, str):
        text = budget.strip().lower()
        whole = re.fullmatch(f"(?:{_PIECE.pattern}\\s*)+", text)
        found = sum(float(n) * _UNITS[unit] for n, unit in _PIECE.findall(text)) if whole else 0.0
    else:
        found = float(budget) if isinstance(budget, int | float) else 0.0
    if not 0 < found < float("inf"):
        raise NormdslError(
            f"explore with the budget {shown(budget)}",
            why="a budget is a length of time",
            hint='write budget="5m", "90s", "1h30m", or a number of seconds',
        )
    return found


def in_words(found: float) -> str:
    """Return a length of time as people write it: 4 min 5 s.

    Example:
        >>> from normdsl.exploring.clock import in_words
        >>> in_words(245), in_words(5000)
        ('4 min 5 s', '1 h 23 min')
    """
    whole = round(found)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


@attrs.frozen
class Clock:
    """Seconds of wall clock that a study has had.

    Args:
        budget: how many it may have. spent: how many it had before this run.
        begun: when this run began, in seconds since the epoch, which processes agree on.
    """

    budget: float
    spent: float = 0.0
    begun: float = attrs.field(factory=time.time)

    @property
    def now(self) -> float:
        """How many it has had."""
        return self.spent + time.time() - self.begun

    @property
    def left(self) -> float:
        """How many it may still have."""
        return self.budget - self.now
