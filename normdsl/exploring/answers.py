"""Verdicts as a study notes them: answers without their proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.status import Status
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check
from normdsl.declaration import Declaration

#: The stages of checks, in order: what is required, groups of those promoted, of finalists.
REQUIRED, PROMOTED, FINAL = "required", "promoted", "final"


@attrs.frozen
class Answer:
    """A verdict, without its proof.

    Args:
        status: its name. answer: in words, with conditions. because: why.
    """

    status: str
    answer: str
    because: str

    @property
    def proved(self) -> bool:
        """Whether it is invariant without conditions."""
        return self.status == Status.INVARIANT.name

    @property
    def reason(self) -> str:
        """Why it is not proved: its conditions, or where typing failed."""
        return self.answer if self.status == Status.CONDITIONAL.name else self.because


def decided(
    rule: Declaration, groups: Iterable[Group], stop: bool, witnesses: bool
) -> dict[str, Answer]:
    """Return the answers for groups; up to the first that is not proved, if it is to stop there.

    Without witnesses, what is not proved is called so: it may be refuted, or not.
    """
    found: dict[str, Answer] = {}
    for group in groups:
        verdict = check(rule, group, witnesses=witnesses)
        assert isinstance(verdict, Verdict)
        open_one = verdict.status is Status.UNKNOWN and not witnesses
        answer = "not proved" if open_one else verdict.answer
        found[group.name] = Answer(verdict.status.name, answer, verdict.because)
        if stop and not verdict.invariant:
            break
    return found


def answers(notes: Mapping[str, Any]) -> dict[str, dict[str, Answer]]:
    """Return the verdicts that are noted, by design and group; later stages know more."""
    found: dict[str, dict[str, Answer]] = {}
    for stage in (REQUIRED, PROMOTED, FINAL):
        for key, note in notes.items():
            if key.partition(":")[0].partition(" ")[0] == stage:
                for name, told in note["answers"].items():
                    new = {g: Answer(*x) for g, x in told.items()}
                    found[name] = found.get(name, {}) | new
    return found
