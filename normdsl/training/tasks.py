"""The tasks of `normdsl train`: images of digits, and the next character of a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from normdsl.compiler.evaluations.outputs import outputs
from normdsl.training.characters import manual, transformer, windows
from normdsl.training.choices import Course, Dataset
from normdsl.training.digits import Data, accuracy, digits, minibatches, network
from normdsl.training.run import Loss, Task


def task(data: Dataset, hidden: int, steps: int, seed: int) -> Task:
    """Return a task whose split, start and batches depend on a seed alone."""
    if data is Dataset.CHARS:
        return text_task(steps, seed)
    model = network(hidden, seed, bias=True, dtype=torch.float32)
    return digits_task(model, digits(seed, torch.float32), steps, seed)


def digits_task(model: nn.Module, data: Data, steps: int, seed: int, batch: int = 128) -> Task:
    """Return the task of naming digits."""

    def losses() -> Iterator[Loss]:
        for chosen in minibatches(len(data.train_x), batch, steps + 1, seed):
            yield partial(_loss, model, data.train_x[chosen], data.train_y[chosen])

    return Task(model, losses, partial(accuracy, model, data.test_x, data.test_y))


def text_task(steps: int, seed: int, batch: int = 32) -> Task:
    """Return the task of guessing the next character of Python's manual."""
    text = manual()
    model = transformer(text.symbols, seed)

    def losses() -> Iterator[Loss]:
        for x, y in windows(text.train, batch, steps + 1, seed):
            yield partial(_loss, model, x, y)

    def score() -> float:
        x, y = next(windows(text.test, 256, 1, seed=0))
        return accuracy(lambda x: model(x).flatten(0, 1), x, y.flatten())

    return Task(model, losses, score, "next characters guessed")


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy; the scores are along the last axis."""
    return nn.functional.cross_entropy(outputs(model(x)).flatten(0, -2), y.flatten())


def course(name: Course, steps: int) -> Callable[[int], float] | None:
    """Return what the rate is multiplied by at step 0, 1, …; None for 1 throughout.

    `wsd` warms up over the first twentieth, is stable, and decays over the last third.
    """

    def wsd(k: int) -> float:
        return min(1, 20 * (k + 1) / steps, 3 * (steps - k) / steps)

    return {
        Course.CONSTANT: None,
        Course.LINEAR: lambda k: 1 - k / steps,
        Course.COSINE: lambda k: (1 + math.cos(math.pi * k / steps)) / 2,
        Course.WSD: wsd,
    }[name]
