"""One process at work on a study: checks, rounds of trials, as long as there is time.

Processes share no queue. Each takes, of what its stage still lacks, the piece at a place of its
own, so that they begin in different places and meet at the end; a piece that two of them do is
written twice and counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
        place: where in a stage this process begins, from 0 to 1.
        tell: what is told of progress. parted: whether to stop at once, asked before each piece.
    """

    ledger: Ledger
    designs: Mapping[str, Design]
    plan: Plan
    task: MakeTask
    clock: Clock
    require: tuple[Group, ...]
    groups: tuple[Group, ...]
    place: float = 0.0
    tell: Tell = lambda *_: None
    parted: Callable[[], bool] = lambda: False

    def work(self) -> None:
        """Do what there is to do, until it is done or there is no time."""
        if self.require:
            self._checked(REQUIRED, list(self.designs), self.require, stop=True)
        for round in range(self.plan.last + 1):
            entrants = self.entrants(round)
            if round > 0:
                final = round == self.plan.last
                stage = FINAL if final else f"{PROMOTED} {round}"
                self._checked(stage, entrants, (*self.require, *self.groups), witnesses=final)
            self._round(round, entrants)
            if self._over():
                return

    def entrants(self, round: int) -> list[str]:
        """Return who entered a round, in order; none if the one before has not ended."""
        if round == 0:
            known = answers(self.ledger.notes())
            return [name for name in self.designs if self._proved(known.get(name, {}))]
        ended = self.ledger.notes().get(f"round {round - 1}")
        return [] if ended is None else list(ended["promoted"])

    def _proved(self, found: Mapping[str, Answer]) -> bool:
        return all(g.name in found and found[g.name].proved for g in self.require)

    def _over(self) -> bool:
        return self.clock.left <= 0 or self.parted()

    def _checked(
        self,
        stage: str,
        names: Sequence[str],
        groups: Sequence[Group],
        stop: bool = False,
        witnesses: bool = False,
    ) -> None:
        """Decide groups of designs, in chunks."""
        size = 1 if witnesses else _CHUNK
        pieces = [names[k : k + size] for k in range(0, len(names), size)]
        chunks = {f"{stage}: {_digest(piece)}": piece for piece in pieces}
        while groups and not self._over():
            known = self.ledger.notes()
            missing = [key for key in chunks if key not in known]
            self.tell("invariances", len(chunks) - len(missing), len(chunks))
            if not missing:
                return
            key = self._mine(missing)
            found = {n: self._decided(n, groups, stop, witnesses) for n in chunks[key]}
            told = {n: {g: attrs.astuple(x) for g, x in v.items()} for n, v in found.items()}
            self.ledger.note(key, {"answers": told, "elapsed": self.clock.now})

    def _decided(
        self, name: str, groups: Iterable[Group], stop: bool, witnesses: bool
    ) -> dict[str, Answer]:
        """Return the answers that are missing; with witnesses, where nothing is proved."""
        rule = self.designs[name].rule
        assert rule is not None
        known = answers(self.ledger.notes()).get(name, {})
        settled = {g for g, x in known.items() if x.proved or not witnesses}
        return decided(rule, [g for g in groups if g.name not in settled], stop, witnesses)

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
            if self.clock.now + self._expected(key, before) > ends:
                break
            self.ledger.add(self._trial(key, before), self.designs[key[1]])
        if entrants and round < self.plan.last and not self._ended(round, entrants):
            self._promote(round, entrants)

    def _promote(self, round: int, entrants: list[str]) -> None:
        """End a round, unless this process is to stop."""
        if self.parted():
            return
        among = set(entrants)
        results = [x for x in self.ledger.results() if x.round == round and x.design in among]
        note = {
            "promoted": self.plan.promoted(round, results, entrants),
            "trained": len(results),
            "entered": entrants,
            "budget": self.clock.budget,
            "elapsed": self.clock.now,
        }
        self.ledger.note(f"round {round}", note)

    def _ended(self, round: int, entrants: list[str]) -> bool:
        """Return whether a round of these has ended: all trained, or for want of more time."""
        note = self.ledger.notes().get(f"round {round}")
        if note is None or note["entered"] != entrants:
            return False
        return note["trained"] == len(entrants) or note["budget"] >= self.clock.budget

    def _title(self, round: int) -> str:
        final = round == self.plan.last
        return "finalists" if final else f"round {round + 1} of {self.plan.last}"

    def _expected(self, key: Key, before: Mapping[str, Result]) -> float:
        """Return how long a trial will take, as its design did before."""
        round, name, _ = key
        if round == 0 or name not in before:
            return 0.0
        last = before[name]
        return last.outcome.seconds * self.plan.length(round) / self.plan.length(last.round)

    def _trial(self, key: Key, before: Mapping[str, Result]) -> Result:
        round, name, seed = key
        rule = self.designs[name].rule
        assert rule is not None
        rates = [] if round == 0 else self.plan.rates(round, before[name])
        outcome = tried(rule, self.task, self.plan.length(round), seed, SIZES, rates)
        cost, state = costs(rule) if round == 0 else (before[name].cost, before[name].state)
        return Result(name, round, seed, outcome, cost, state, self.clock.now)


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
