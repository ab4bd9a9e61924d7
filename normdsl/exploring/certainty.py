"""How sure a study is: which finalists can be told apart, and whether early rounds told the later.

Finalists have the same seeds, so that their losses are compared seed by seed. Seeds are drawn anew,
with replacement (Efron, 1979), which with few of them is optimistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs
import numpy as np

from normdsl.exploring.ledger import Result
from normdsl.exploring.rounds import TUNING, Plan

_DRAWS = 2000
#: With fewer seeds, draws of them are no evidence to speak of.
_FEW = 5


@attrs.frozen
class Certainty:
    """How sure a study is of its answer.

    Args:
        finalists: how many there are. seeds: how many all of them have in common.
        best: the one with the lowest mean loss.
        stays: the share of draws of seeds in which it stays the best.
        alike: finalists that cannot be told from it: at some draw in twenty they are as good.
        ranks: for each round but the first, the rank correlation of its losses with those of the
            same designs in the round before.
        edge: the share of designs whose best rate of the first round is the smallest or largest.
    """

    finalists: int
    seeds: int
    best: str | None
    stays: float
    alike: Sequence[str]
    ranks: Sequence[float]
    edge: float

    @classmethod
    def of(cls, results: Sequence[Result], plan: Plan) -> Certainty:
        """Return how sure the results of a study are."""
        losses = final_losses(results, plan)
        stays, alike = _told_apart(losses)
        best = min(losses, key=lambda name: float(np.mean(losses[name])), default=None)
        count = len(next(iter(losses.values()))) if losses else 0
        return cls(len(losses), count, best, stays, alike, _ranks(results, plan), _edge(results))

    def sentences(self) -> list[str]:
        """Return it in words."""
        told = []
        if self.best is None:
            told.append("No design was trained with fresh seeds: there was no time for finalists.")
        elif self.seeds == 1:
            told.append(f"{self.best} is best with one fresh seed, which says little.")
        else:
            told.append(
                f"{self.best} is best, on average over {self.seeds} seeds that no rate was chosen "
                f"by; it stays so in {self.stays:.0%} of {_DRAWS} draws of these seeds."
            )
            if self.seeds < _FEW:
                told.append(f"{self.seeds} seeds are few: draws of them say little.")
            if self.alike:
                told.append(f"Not to be told from it: {', '.join(self.alike)}.")
            elif self.finalists > 1:
                told.append("Every other finalist is worse in at least 95 % of the draws.")
        for k, rank in enumerate(self.ranks, 2):
            told.append(
                f"Designs of round {k} are in the order of round {k - 1} with a rank correlation "
                f"of {rank:.2f}; where it is low, the rounds before may have cut good designs."
            )
        if self.edge:
            told.append(
                f"For {self.edge:.0%} of the designs the best rate of the first round was the "
                "smallest or largest that was tried."
            )
        return told


def final_losses(results: Sequence[Result], plan: Plan) -> dict[str, np.ndarray]:
    """Return the losses of finalists on the seeds that all of them have, in their order."""
    found: dict[str, dict[int, float]] = {}
    for x in results:
        if x.round == plan.last:
            found.setdefault(x.design, {})[x.seed] = x.outcome.loss
    if not found:
        return {}
    common = sorted(set.intersection(*(set(x) for x in found.values())))
    return {name: np.array([x[s] for s in common]) for name, x in found.items() if common}


def _told_apart(losses: Mapping[str, np.ndarray]) -> tuple[float, list[str]]:
    """Return how often the best stays so, and who is as good as it in a twentieth of the draws."""
    if not losses:
        return 0.0, []
    names = list(losses)
    table = np.stack([losses[name] for name in names])
    best = int(table.mean(1).argmin())
    chosen = np.random.default_rng(0).integers(0, table.shape[1], (_DRAWS, table.shape[1]))
    means = table[:, chosen].mean(2)
    stays = float((means.argmin(0) == best).mean())
    as_good = (means <= means[best]).mean(1)
    return stays, [name for k, name in enumerate(names) if k != best and as_good[k] >= 0.05]


def _ranks(results: Sequence[Result], plan: Plan) -> list[float]:
    by_round: list[dict[str, float]] = [{} for _ in range(plan.last)]
    for x in results:
        if x.seed == TUNING and x.round < plan.last:
            by_round[x.round][x.design] = x.outcome.loss
    found = []
    for before, after in pairwise(by_round):
        both = [name for name in after if name in before]
        if len(both) > 2:
            found.append(_rank_correlation([before[n] for n in both], [after[n] for n in both]))
    return found


def _rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation; losses that are equal, or infinite, share a rank."""
    one, two = _places(x), _places(y)
    if one.std() == 0 or two.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1])


def _places(x: Sequence[float]) -> np.ndarray:
    values = np.asarray(x)
    return np.array([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])


def _edge(results: Sequence[Result]) -> float:
    first = [x.outcome for x in results if x.round == 0 and np.isfinite(x.outcome.loss)]
    at_edge = [x.best in (0, len(x.losses) - 1) for x in first]
    return sum(at_edge) / len(at_edge) if at_edge else 0.0
