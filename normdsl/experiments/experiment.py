"""What an experiment is: problems, methods, rates, and how a run of it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.experiments.methods import Method
from normdsl.training.run import Task

#: The seed that rates are tuned with; results are of others.
TUNING = 0


@attrs.frozen(eq=False)
class Trial:
    """A model at its start, and what is done with it.

    Args:
        task: what is learnt; its score is the share of right answers on the test part.
        optimizers: of a rule at a rate; the first is that of the rule, others are its company.
        valid: the mean loss on the part that rates are chosen by. test: that on the test part.
    """

    task: Task
    optimizers: Callable[[Declaration, float], Sequence[DeclaredOptimizer]]
    valid: Callable[[], float]
    test: Callable[[], float]


@attrs.frozen(eq=False)
class Problem:
    """Data, in a condition that they are in, such as columns in other units.

    Args:
        data: their name. condition: its name; empty if there is one alone.
        trial: makes a trial, whose split, start and batches depend on a seed alone.
    """

    data: str
    condition: str
    trial: Callable[[int], Trial]


@attrs.frozen(eq=False)
class Experiment:
    """Methods on problems.

    Args:
        name: by which it is asked for. title: a line. what: what is trained, in some sentences.
        problems: each with every method. methods: what is compared.
        rates: the coarse grid, from small to large. steps: of each run.
        seeds: of the runs that count. group: in which methods are said to be invariant, or "".
    """

    name: str
    title: str
    what: str
    problems: tuple[Problem, ...]
    methods: tuple[Method, ...]
    rates: tuple[float, ...]
    steps: int
    seeds: tuple[int, ...]
    group: str = ""

    @property
    def runs(self) -> int:
        """How many runs there are at most: the grid, two rates beside its best, and the seeds."""
        return len(self.problems) * len(self.methods) * (len(self.rates) + 2 + len(self.seeds))


def decades(least: int, most: int) -> tuple[float, ...]:
    """Return 10^least, …, 10^most."""
    return tuple(float(f"1e{k}") for k in range(least, most + 1))


def split(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows to train on, to choose rates by, and to test on: the last whatever the seed."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    seen, test = order.tensor_split([count * 4 // 5])
    mixed = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))]
    train, valid = mixed.tensor_split([count * 3 // 5])
    return train, valid, test
