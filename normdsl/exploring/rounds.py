"""Successive halving: which trials each round has, and who is promoted to the next.

A round trains every design that entered it, for the same steps and the same number of rates, and
promotes the best (Jamieson and Talwalkar, 2016, arXiv:1502.07943). The last one, of finalists, has
one rate each and seeds that no rate was chosen by. All this depends on results alone, so that
processes that share them agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import attrs

from normdsl.exploring.ledger import Result

Key = tuple[int, str, int]
#: Rates of the first round: relative sizes of steps, eight from 1e-2 to 30.
SIZES = tuple(10 ** (k / 2 - 2) for k in range(8))
#: Rates of later rounds, in steps of a distance that halves, beside the best so far.
_BESIDE = (-2, -1, 0, 1)
#: The seed by which rates are chosen.
TUNING = 0


@attrs.frozen
class Plan:
    """How a study spends its time.

    Args:
        steps: of training, for each round. keep: the share of designs that a round promotes.
        finalists: how many the last round promotes. seeds: how many each of them is trained with.
        checks: the share of the time that checks of what is required may take.

    The first round may take half of the time that is left when it begins, the others two fifths,
    and that of finalists all of it.
    """

    steps: tuple[int, ...] = (12, 48, 180)
    keep: float = 0.25
    finalists: int = 8
    seeds: int = 5
    checks: float = 0.4

    @property
    def last(self) -> int:
        """The number of the finalists' round."""
        return len(self.steps)

    def share(self, round: int) -> float:
        """Return the share of the time left that a round may take."""
        if round == self.last:
            return 1.0
        return 0.5 if round == 0 else 0.4

    def length(self, round: int) -> int:
        """Return the steps of a round."""
        return self.steps[min(round, self.last - 1)]

    def rates_of(self, round: int) -> int:
        """Return how many rates a design has in a round."""
        return len(SIZES) if round == 0 else len(_BESIDE)

    def trials(self, round: int) -> int:
        """Return how many rates a design has tried, if that was its highest round."""
        return len(SIZES) + len(_BESIDE) * min(round, self.last - 1)

    def keys(self, round: int, entrants: Sequence[str]) -> list[Key]:
        """Return the trials of a round, in order."""
        if round < self.last:
            return [(round, name, TUNING) for name in entrants]
        seeds = range(TUNING + 1, TUNING + 1 + self.seeds)
        return [(round, name, seed) for seed in seeds for name in entrants]

    def rates(self, round: int, before: Result) -> list[float]:
        """Return the learning rates of a round after the first, for what came of the one before."""
        best = before.outcome.rates[before.outcome.best]
        if round == self.last:
            return [best]
        distance = 0.5 / 2 ** (round - 1)
        return [best * 10 ** (distance * k) for k in _BESIDE]

    def promoted(
        self,
        round: int,
        results: Iterable[Result],
        entrants: Sequence[str],
        time: float = math.inf,
    ) -> list[str]:
        """Return who goes on after a round, the best first, as many as there is time for.

        As many as there are finalists go on in any case; of finalists, two. Where a later round had
        too little time to train as many, those that it did not train follow, in their order.

        Args:
            round: which. results: those of it. entrants: who entered it.
            time: seconds of all processes together that the next round may take.
        """
        finite = [x for x in results if math.isfinite(x.outcome.loss)]
        ranked = sorted(finite, key=lambda x: (x.outcome.loss, x.design))
        final = round == self.last - 1
        most = max(self.finalists, math.ceil(self.keep * len(ranked)))
        most, least = (self.finalists, 2) if final else (most, self.finalists)
        # Finalists have three seeds rather than be many.
        times = min(self.seeds, 3) if final else 1
        needs = accumulate(times * self.expected(round + 1, x) for x in ranked)
        room = sum(need <= time for need in needs)
        chosen = [x.design for x in ranked[: max(least, min(most, room))]]
        trained = {x.design for x in results}
        others = [name for name in entrants if name not in trained] if round else []
        return chosen + others[: max(0, least - len(chosen))]

    def expected(self, round: int, before: Result) -> float:
        """Return the seconds that a trial will take, as its design took before."""
        return before.outcome.seconds * self.length(round) / self.length(before.round)


def best_by_design(results: Iterable[Result]) -> Mapping[str, Result]:
    """Return the result of the highest round of each design, among those by the tuning seed."""
    found: dict[str, Result] = {}
    for x in results:
        if x.seed == TUNING and (x.design not in found or found[x.design].round < x.round):
            found[x.design] = x
    return found
