"""What came of each method on each problem: the rate that was chosen, and means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import attrs

from normdsl.experiments.experiment import TUNING
from normdsl.experiments.results import Results, Run


@attrs.frozen
class Spread:
    """A mean and the standard deviation over seeds, of the sample."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return those of some values."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


@attrs.frozen
class Outcome:
    """A method on a problem.

    Args:
        method: its name. rate: that was chosen; None if no run of any rate ended well.
        at_edge: whether it is the smallest or the largest of those tried.
        score: share of right answers. loss: on the test part; None if it is not finite.
        failed: how many of the runs that count failed. trained: how many of the rates did not.
        tried: how many rates. ms: median time of a step. state: bytes over those of parameters.
    """

    method: str
    rate: float | None
    at_edge: bool
    score: Spread
    loss: Spread | None
    failed: int
    trained: int
    tried: int
    ms: float
    state: float


def outcomes(results: Results, data: str, condition: str) -> dict[str, Outcome]:
    """Return the outcome of every method that is finished on a problem."""
    runs = [r for r in results.runs.values() if (r.data, r.condition) == (data, condition)]
    methods = dict.fromkeys(run.method for run in runs)
    found = {m: _outcome(results, [r for r in runs if r.method == m]) for m in methods}
    return {method: x for method, x in found.items() if x is not None}


def problems(results: Results) -> dict[str, list[str]]:
    """Return the conditions of each data set, in the order in which they were run."""
    found: dict[str, list[str]] = {}
    for run in results.runs.values():
        conditions = found.setdefault(run.data, [])
        if run.condition not in conditions:
            conditions.append(run.condition)
    return found


def _outcome(results: Results, runs: Iterable[Run]) -> Outcome | None:
    every = list(runs)
    tuned = [run for run in every if run.seed == TUNING]
    counted = [run for run in every if run.seed in results.head.seeds]
    scores = [run.score for run in counted if run.score is not None]
    if len(scores) < len(results.head.seeds):
        return None
    well = [run for run in tuned if run.valid is not None]
    rates = [run.rate for run in tuned]
    losses = [run.test for run in counted if run.test is not None]
    return Outcome(
        counted[0].method,
        counted[0].rate if well else None,
        bool(well) and counted[0].rate in (min(rates), max(rates)),
        Spread.of(scores),
        Spread.of(losses) if len(losses) == len(counted) else None,
        sum(run.fault is not None for run in counted),
        len(well),
        len(tuned),
        statistics.median(run.ms for run in every),
        counted[0].state,
    )
