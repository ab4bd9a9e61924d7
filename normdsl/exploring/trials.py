"""One trial: a design trained on a task with several rates at once, as copies in one batch.

Rates are relative: ρ is the root mean square change of the weights in a step, relative to theirs,
which a rate would make at first; so that designs of any unit are tried over the same range.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import torch

from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.exploring.copies import Copies
from normdsl.training.digits import digits, network
from normdsl.training.run import Task
from normdsl.training.tasks import digits_task, text_task

#: (steps, seed) → a task; what it starts from and its batches depend on the seed alone.
MakeTask = Callable[[int, int], Task]
_HIDDEN = _BATCH = 32


@attrs.frozen
class Outcome:
    """What became of a trial.

    Args:
        losses: the loss at the end for each rate, infinite where the run diverged.
        rates: the learning rates. sizes: the relative changes ρ they stand for.
        score: on what was not trained on, with the best rate; 0 if all diverged.
        seconds: what it took. why: an error that ended all runs, if one did.
    """

    losses: list[float]
    rates: list[float]
    sizes: list[float]
    score: float
    seconds: float
    why: str = ""

    @property
    def best(self) -> int:
        """The place of the best rate."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def loss(self) -> float:
        """The loss with the best rate."""
        return self.losses[self.best]


def digits_small(steps: int, seed: int) -> Task:
    """Return the task of naming digits by two layers of matrices, 64 → 32 → 10.

    In batches of 32, so that few steps see no image often enough to know it by heart.
    """
    model = network(_HIDDEN, seed, bias=False, dtype=torch.float32)
    return digits_task(model, _digits(seed), steps, seed, batch=_BATCH)


@lru_cache(maxsize=16)
def _digits(seed: int) -> Any:
    return digits(seed, torch.float32)


TASKS: dict[str, MakeTask] = {"digits": digits_small, "chars": text_task}


def tried(
    rule: Declaration,
    make: MakeTask,
    steps: int,
    seed: int,
    sizes: Sequence[float] = (),
    rates: Sequence[float] = (),
) -> Outcome:
    """Return what becomes of a rule on a task, for relative sizes of steps or for rates as such.

    A run that is not finite, or ends above its start, has an infinite loss; an error of a kernel
    ends all of them, and is told.
    """
    begun = time.perf_counter()
    task = make(steps, seed)
    copies = Copies(rule, task)
    found: list[float] = []
    score, why = 0.0, ""
    try:
        if not rates:
            scale = copies.scale()
            rates = [scale * size for size in sizes] if math.isfinite(scale) else []
            why = "" if rates else "its first steps do not move the weights, or are not finite"
        found = copies.train(rates, steps) if rates else []
        score = task.score() if any(map(math.isfinite, found)) else 0.0
    except (RuntimeError, ArithmeticError, NormdslError) as error:
        found, why = [], str(error).partition("\n")[0]
    missing = len(rates or sizes) or 1
    found = found or [math.inf] * missing
    given = list(rates) or [math.nan] * missing
    return Outcome(found, given, list(sizes), score, time.perf_counter() - begun, why)
