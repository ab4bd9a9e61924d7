"""Tuning and comparing: every method has the same number of rates, and results other seeds.

Of each method on each problem, with the seed `TUNING`: the coarse grid of rates; then the two rates
half a decade beside the best, by the loss on the validation part. The best of all of these then
runs with every other seed, and only these runs count.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.errors import GradientError
from normdsl.experiments.experiment import TUNING, Experiment, Problem
from normdsl.experiments.methods import Method
from normdsl.experiments.results import Results, Run
from normdsl.training.choices import Course
from normdsl.training.run import divergence, train
from normdsl.training.tasks import course


def study(
    experiment: Experiment, results: Results, tick: Callable[[str], object], minutes: float | None
) -> bool:
    """Run what has not been run; return whether all has.

    Args:
        experiment: what to run. results: what was run before, and where it is written.
        tick: called after every run, also of an earlier one, with what was run.
        minutes: after which no run is begun.
    """
    ends = time.monotonic() + 60 * minutes if minutes else math.inf
    torch.set_num_threads(1)  # Times are of one thread.
    for problem in experiment.problems:
        for method in experiment.methods:
            for rate, seed in planned(experiment, results, problem, method):
                key = problem.data, problem.condition, method.name, rate, seed
                if key not in results.runs:
                    if time.monotonic() > ends:
                        return False
                    results.add(run(experiment, problem, method, rate, seed))
                tick(f"{method.name} on {problem.data}")
    return True


def planned(
    experiment: Experiment, results: Results, problem: Problem, method: Method
) -> Iterator[tuple[float, int]]:
    """Yield rates and seeds; each is run before the next is asked for."""

    def best(rates: Sequence[float]) -> float:
        def loss(rate: float) -> float:
            key = problem.data, problem.condition, method.name, rate, TUNING
            found = results.runs[key].valid
            return math.inf if found is None else found

        return min(rates, key=loss)

    for rate in experiment.rates:
        yield rate, TUNING
    coarse = best(experiment.rates)
    beside = tuple(float(f"{coarse * 10**half:.3g}") for half in (-0.5, 0.5))
    for rate in beside:
        yield rate, TUNING
    chosen = best((*experiment.rates, *beside))
    for seed in experiment.seeds:
        yield chosen, seed


def run(experiment: Experiment, problem: Problem, method: Method, rate: float, seed: int) -> Run:
    """Train once and say what came of it."""
    trial = problem.trial(seed)
    optimizers = trial.optimizers(method.rule, rate)
    times = [time.process_time()]

    def note() -> None:
        times.append(time.process_time())

    factor = course(Course.LINEAR, experiment.steps)
    try:
        fault = divergence(train(trial.task, optimizers, experiment.steps, factor, note))
    except GradientError as error:
        fault = f"step {len(times)} was refused: {error.why}"
    steps = [after - before for before, after in itertools.pairwise(times)]
    with torch.no_grad():
        valid = trial.valid()
        seen = (math.nan, None) if seed == TUNING else (trial.test(), round(trial.task.score(), 4))
    return Run(
        problem.data,
        problem.condition,
        method.name,
        rate,
        seed,
        valid=_finite(valid) if fault is None else None,
        test=_finite(seen[0]),
        score=seen[1],
        fault=fault,
        ms=float(f"{1000 * statistics.median(steps):.3g}") if steps else math.nan,
        state=round(_state(optimizers[0]), 2),
    )


def _finite(loss: float) -> float | None:
    return float(f"{loss:.5g}") if math.isfinite(loss) else None


def _state(optimizer: DeclaredOptimizer) -> float:
    """Return the bytes of an optimizer's states over those of its parameters."""
    weights = sum(x.nbytes for group in optimizer.param_groups for x in _tensors(group["params"]))
    return sum(x.nbytes for x in _tensors(optimizer.state_dict()["state"])) / weights


def _tensors(value: Any) -> list[Tensor]:
    return [x for x in torch.utils._pytree.tree_leaves(value) if isinstance(x, Tensor)]
