"""A character transformer on the manual that comes with Python."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor, nn

from normdsl.algorithms import adamw
from normdsl.compiler.evaluations.capture import capture
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.experiments.experiment import Experiment, Problem, Trial, decades
from normdsl.experiments.methods import methods
from normdsl.training.characters import Text, Transformer, manual, transformer, windows
from normdsl.training.digits import accuracy
from normdsl.training.run import Loss, Task

BATCH = 8
#: Of AdamW, on what is no matrix of a layer: the same for all methods.
COMPANY_RATE = 3e-3
#: How many windows of text the loss is taken over, and the share of right answers.
MEASURED = 128
WHAT = f"""The next character of `pydoc_data.topics`, which comes with Python: a transformer of two
blocks of width 64 on windows of 64 characters, batches of {BATCH}, in float32. The method has the
matrices of the blocks and of the head; embeddings and the vectors of norms have AdamW at
{COMPANY_RATE:g}, whatever the method. The last tenth of the text is not trained on: rates are
chosen by its first half, and tested on its second."""


def charlm(steps: int = 60, seeds: tuple[int, ...] = (1, 2, 3)) -> Experiment:
    """Return the experiment."""
    problem = Problem("characters", "", partial(_trial, steps))
    return Experiment(
        "charlm",
        "A character transformer",
        WHAT,
        (problem,),
        methods(),
        decades(-5, 0),
        steps,
        seeds,
    )


def _trial(steps: int, seed: int) -> Trial:
    text = _text()
    model = transformer(text.symbols, seed)
    valid, test = text.test.tensor_split(2)

    def losses() -> Iterator[Loss]:
        for x, y in windows(text.train, BATCH, steps + 1, seed):
            yield partial(_loss, model, x, y)

    def on(part: Tensor) -> Callable[[], float]:
        x, y = next(windows(part, MEASURED, 1, seed=0))
        return lambda: float(_loss(model, x, y))

    def score() -> float:
        x, y = next(windows(test, MEASURED, 1, seed=0))
        return accuracy(lambda x: model(x).flatten(0, 1), x, y.flatten())

    task = Task(model, losses, score, "next characters guessed")
    return Trial(task, partial(_optimizers, model), on(valid), on(test))


@functools.cache
def _text() -> Text:
    return manual()


def _optimizers(model: Transformer, rule: Declaration, rate: float) -> list[DeclaredOptimizer]:
    layers = [model.blocks, model.head]
    mine = [p for layer in layers for p in layer.parameters() if p.ndim == 2]
    chosen = {id(p) for p in mine}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    options = {"capture": capture(*layers)} if rule.moments else {}
    return [rule(mine, lr=rate, **options), adamw(rest, lr=COMPANY_RATE)]


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
