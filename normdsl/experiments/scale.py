"""Linear classifiers whose columns are measured in other units: the paper's scale experiment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from normdsl.algorithms import adamw
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.experiments.experiment import Experiment, Problem, Trial, decades, split
from normdsl.experiments.methods import methods
from normdsl.training.digits import accuracy, minibatches
from normdsl.training.run import Loss, Task, optimizers_for

BATCH = 64
#: Every column is multiplied by a factor of its own, 10^U(−s, s).
SPREAD = 2.0
LEVELS = 4
DATA = ("digits", "breast cancer, one-hot", "breast cancer", "wine")
RAW, CARRIED, BLIND = "as they are", "rescaled, start carried along", "rescaled, start as ever"
WHAT = f"""A linear classifier of scikit-learn's sets, softmax and cross-entropy, in float64, by
batches of {BATCH}; three fifths of the rows to train on, a fifth to choose rates by, a fifth to
test, the same for all seeds. Columns of breast cancer and wine are standardised; *one-hot* is
breast cancer with every column cut into {LEVELS} categories at its quartiles, a column for each.
Then every column, also the constant one of the bias, is multiplied by a factor of its own,
10^U(−{SPREAD:g}, {SPREAD:g}). Weights start as torch's `Linear` does. *Start carried along*: they
are divided by the same factors, so that the classifier begins as the same function; of an invariant
rule, theory says that nothing changes. *Start as ever*: they are not, as of somebody who does not
know the factors. Rates are tuned anew in each condition, which favours rules that are not invariant
over one rate for all units."""


@attrs.frozen(eq=False)
class Table:
    """Features and labels. `measured` says whether columns are measurements to standardise."""

    x: Tensor
    y: Tensor
    measured: bool


def scale(steps: int = 100, seeds: tuple[int, ...] = (1, 2, 3)) -> Experiment:
    """Return the experiment: every set as it is, and with rescaled columns."""
    problems = [
        Problem(data, condition, partial(_trial, data, condition, steps))
        for data in DATA
        for condition in (RAW, CARRIED, BLIND)
    ]
    return Experiment(
        "scale",
        "Linear classifiers in other units",
        WHAT,
        tuple(problems),
        methods(),
        decades(-6, 1),
        steps,
        seeds,
        group="row_column_scale",
    )


def _trial(data: str, condition: str, steps: int, seed: int) -> Trial:
    x, y = _features(data, seed)
    factors = _factors(x.shape[1]) if condition != RAW else torch.ones(x.shape[1]).double()
    x = x * factors
    model = _classifier(x.shape[1], int(y.max()) + 1, seed)
    if condition == CARRIED:
        with torch.no_grad():
            model.weight.div_(factors)
    train, valid, test = (part.numpy() for part in split(len(x), seed))
    mean = nn.functional.cross_entropy

    def losses() -> Iterator[Loss]:
        for chosen in minibatches(len(train), BATCH, steps + 1, seed):
            rows = train[chosen]
            yield partial(_loss, model, x[rows], y[rows])

    def optimizers(rule: Declaration, rate: float) -> list[DeclaredOptimizer]:
        return optimizers_for(model, rule, adamw, lr=rate)[0]

    def on(rows: Any) -> Callable[[], float]:
        return lambda: float(mean(model(x[rows]), y[rows]))

    task = Task(model, losses, lambda: accuracy(model, x[test], y[test]))
    return Trial(task, optimizers, on(valid), on(test))


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x), y)


def _features(data: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return features with a constant column, standardised by what is trained on, and labels."""
    table = _table(data)
    x = table.x
    if table.measured:
        train = x[split(len(x), seed)[0]]
        x = (x - train.mean(0)) / train.std(0)
    return torch.cat([x, x.new_ones(len(x), 1)], 1), table.y


def _factors(columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    uniform = 2 * torch.rand(columns, generator=generator, dtype=torch.float64) - 1
    return torch.as_tensor(10 ** (SPREAD * uniform))


def _classifier(columns: int, classes: int, seed: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(columns, classes, bias=False, dtype=torch.float64)


@functools.cache
def _table(data: str) -> Table:
    from sklearn import datasets

    name, _, categories = data.partition(", ")
    load = {
        "digits": datasets.load_digits,
        "breast cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
    }[name]
    bunch = load()
    x, y = torch.as_tensor(bunch.data, dtype=torch.float64), torch.as_tensor(bunch.target)
    if categories:
        return Table(_one_hot(x), y, measured=False)
    return Table(x / 16, y, measured=False) if name == "digits" else Table(x, y, measured=True)


def _one_hot(x: Tensor) -> Tensor:
    """Return a column for each category, of columns cut at their quantiles."""
    shares = torch.arange(1, LEVELS, dtype=x.dtype) / LEVELS
    cuts = torch.quantile(x, shares, dim=0)
    level = (x[:, :, None] > cuts.T).sum(2)
    return nn.functional.one_hot(level, LEVELS).flatten(1).to(x.dtype)
