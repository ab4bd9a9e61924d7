"""The four answers: in words, in a mark, in a colour."""

from __future__ import annotations

import enum

from normdsl.show.colours import Tone


class Status(enum.Enum):
    """The four answers."""

    INVARIANT = "invariant"
    CONDITIONAL = "invariant if"
    REFUTED = "not invariant"
    UNKNOWN = "unknown"

    @property
    def mark(self) -> str:
        """The answer in a word, for a table of many; a condition follows its "if"."""
        match self:
            case Status.INVARIANT:
                return "yes"
            case Status.CONDITIONAL:
                return "if"
            case Status.REFUTED:
                return "no"
            case Status.UNKNOWN:
                return "?"

    @property
    def tone(self) -> Tone:
        """How good the answer is, which decides its colour."""
        match self:
            case Status.INVARIANT:
                return Tone.GOOD
            case Status.CONDITIONAL:
                return Tone.QUALIFIED
            case Status.REFUTED:
                return Tone.BAD
            case Status.UNKNOWN:
                return Tone.OPEN
