"""One process at work on a study: checks, rounds of trials, as long as there is time.

Processes share no queue. Each takes, of what its stage still lacks, the piece at a place of its
own, so that they begin in different places and meet at the end; a piece that two of them do is
written twice and counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import attrs

from normdsl.compiler.invariance.groups import Group
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.exploring.answers import FINAL, PROMOTED, REQUIRED, Answer, answers, decided
from normdsl.exploring.clock import Clock
from normdsl.exploring.designs import Design
from normdsl.exploring.ledger import Ledger, Result
from normdsl.exploring.rounds import SIZES, Key, Plan, best_by_design
from normdsl.exploring.trials import MakeTask, tried

#: The round of checks before the first.
CHECKS = -1
#: The share of the time left that checks of what is not required may take.
_BESIDE = 0.15
#: How many designs are checked between two notes.
_CHUNK = 20
#: The layer for which costs are counted.
_ROWS, _COLS = 256, 512

#: Told of a stage: its name, how much is done, of how much.
Tell = Callable[[str, int, int], object]


@attrs.frozen(eq=False)
class Session:
    """What a process works with.

    Args:
        ledger: the study. designs: those that are declared and equal to no other, by name.
        plan: the rounds. task: what is trained. clock: the budget.
        require: groups that must be proved. groups: others that are decided for those promoted.
        processes: how many there are. place: where in a stage this one begins, from 0 to 1.
        tell: what is told of progress. parted: whether to stop at once, asked before each piece.
    """

    ledger: Ledger
    designs: Mapping[str, Design]
    plan: Plan
    task: MakeTask
    clock: Clock
    require: tuple[Group, ...]
    groups: tuple[Group, ...]
    processes: int = 1
    place: float = 0.0
    tell: Tell = lambda *_: None
    parted: Callable[[], bool] = lambda: False

    def work(self) -> None:
        """Do what there is to do, until it is done or there is no time."""
        self._screen()
        for round in range(self.plan.last + 1):
            entrants = self.entrants(round)
            if round > 0:
                final = round == self.plan.last
                stage = FINAL if final else f"{PROMOTED} {round}"
                asked = (*self.require, *self.groups)
                ends = self.clock.now + _BESIDE * self.clock.left
                self._checked(stage, entrants, asked, ends, witnesses=final)
            self._round(round, entrants)
            if self._over():
                return

    def entrants(self, round: int) -> list[str]:
        """Return who entered a round, in order; none if the one before has not ended."""
        if round == 0 and not self.require:
            return list(self.designs)
        ended = self.ledger.notes().get(_note(round - 1))
        return [] if ended is None else list(ended["promoted"])

    def _over(self) -> bool:
        return self.clock.left <= 0 or self.parted()

    def _screen(self) -> None:
        """Decide what is required, of all designs; those that are proved go on."""
        everything = list(self.designs)
        if not self.require or self._ended(CHECKS, everything):
            return
        ends = self.clock.now + self.plan.checks * self.clock.left
        self._checked(REQUIRED, everything, self.require, ends, stop=True)
        known = answers(self.ledger.notes())
        proved = [n for n in everything if n in known and self._proved(known[n])]
        self._end(CHECKS, everything, proved, sum(n in known for n in everything))

    def _proved(self, found: Mapping[str, Answer]) -> bool:
        return all(g.name in found and found[g.name].proved for g in self.require)

    def _checked(
        self,
        stage: str,
        names: Sequence[str],
        groups: Sequence[Group],
        ends: float,
        stop: bool = False,
        witnesses: bool = False,
    ) -> None:
        """Decide groups of designs, in chunks, until a time."""
        size = 1 if witnesses else _CHUNK
        pieces = [names[k : k + size] for k in range(0, len(names), size)]
        chunks = {f"{stage}: {_digest(piece)}": piece for piece in pieces}
        while groups and not self._over() and self.clock.now < ends:
            notes = self.ledger.notes()
            missing = [key for key in chunks if key not in notes]
            self.tell("invariances", len(chunks) - len(missing), len(chunks))
            if not missing:
                return
            key = self._mine(missing)
            known, told = answers(notes), {}
            for name in chunks[key]:
                # With witnesses, what is proved needs none; without, what is known is known.
                before = known.get(name, {}).items()
                settled = {g for g, x in before if x.proved or not witnesses}
                left = [g for g in groups if g.name not in settled]
                found = decided(self._rule(name), left, stop, witnesses)
                told[name] = {g: attrs.astuple(x) for g, x in found.items()}
            self.ledger.note(key, {"answers": told, "elapsed": self.clock.now})

    def _rule(self, name: str) -> Declaration:
        rule = self.designs[name].rule
        assert rule is not None, "only what is declared is explored"
        return rule

    def _mine(self, missing: Sequence[Any]) -> Any:
        return missing[int(self.place * len(missing))]

    def _round(self, round: int, entrants: list[str]) -> None:
        """Train whoever entered a round, then say who is promoted."""
        keys = self.plan.keys(round, entrants)
        ends = self.clock.now + self.plan.share(round) * self.clock.left
        while not self._over() and not self._ended(round, entrants):
            results = self.ledger.results()
            done = {x.key for x in results}
            missing = [key for key in keys if key not in done]
            self.tell(self._title(round), len(keys) - len(missing), len(keys))
            if not missing:
                break
            # Seed by seed, so that finalists have the same ones whenever it ends.
            key = self._mine([k for k in missing if k[2] == missing[0][2]])
            before = best_by_design(results)
            late = self.clock.now
            if round and key[1] in before:
                late += self.plan.expected(round, before[key[1]])
            if late > ends:
                break
            self.ledger.add(self._trial(key, before), self.designs[key[1]])
        if entrants and round < self.plan.last:
            among = set(entrants)
            results = [x for x in self.ledger.results() if x.round == round and x.design in among]
            time = self.processes * self.plan.share(round + 1) * self.clock.left
            promoted = self.plan.promoted(round, results, entrants, time)
            self._end(round, entrants, promoted, len(results))

    def _end(self, round: int, entrants: list[str], promoted: list[str], done: int) -> None:
        """End a round, unless it has ended, or this process is to stop."""
        if self.parted() or self._ended(round, entrants):
            return
        note = {
            "promoted": promoted,
            "done": done,
            "entered": entrants,
            "budget": self.clock.budget,
            "elapsed": self.clock.now,
        }
        self.ledger.note(_note(round), note)

    def _ended(self, round: int, entrants: list[str]) -> bool:
        """Return whether a round of these has ended: all done, or for want of more time."""
        note = self.ledger.notes().get(_note(round))
        if note is None or note["entered"] != entrants:
            return False
        return bool(note["done"] == len(entrants) or note["budget"] >= self.clock.budget)

    def _title(self, round: int) -> str:
        final = round == self.plan.last
        return "finalists" if final else f"round {round + 1} of {self.plan.last}"

    def _trial(self, key: Key, before: Mapping[str, Result]) -> Result:
        round, name, seed = key
        rule = self._rule(name)
        rates = [] if round == 0 else self.plan.rates(round, before[name])
        outcome = tried(rule, self.task, self.plan.length(round), seed, SIZES, rates)
        cost, state = costs(rule) if round == 0 else (before[name].cost, before[name].state)
        return Result(name, round, seed, outcome, cost, state, self.clock.now)


def _note(round: int) -> str:
    """Return what the note of a round's end is called."""
    return "checks" if round == CHECKS else f"round {round}"


def _digest(names: Sequence[str]) -> str:
    return sha256(" ".join(names).encode()).hexdigest()[:16]


def costs(rule: Declaration) -> tuple[float, float]:
    """Return operations and kept numbers of a step, for each entry of a layer of 256 × 512."""
    try:
        found = rule.cost((_ROWS, _COLS))
    except NormdslError:
        return float("nan"), float("nan")
    entries = _ROWS * _COLS
    return found.flops / entries, found.state_bytes / 4 / entries
