"""A two-layer network on scikit-learn's digits, and its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from normdsl.compiler.runtime.capture import capture
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.errors import GradientError

Tick = Callable[[], None]


@attrs.frozen(eq=False)
class Data:
    """A split data set: features, and labels 0 … 9."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor

    def rescaled(self, factors: Tensor) -> Data:
        """Return the data with every feature multiplied by a factor of its own."""
        return attrs.evolve(self, train_x=self.train_x * factors, test_x=self.test_x * factors)


def digits(seed: int = 0, dtype: torch.dtype = torch.float64) -> Data:
    """Return the 1797 images of 8×8 pixels, scaled to [0, 1], four fifths of them for training."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.as_tensor(bunch.data, dtype=dtype) / 16
    y = torch.as_tensor(bunch.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    cut = len(x) * 4 // 5
    train, test = order[:cut], order[cut:]
    return Data(x[train], y[train], x[test], y[test])


def network(
    hidden: int, seed: int, bias: bool, dtype: torch.dtype = torch.float64
) -> nn.Sequential:
    """Return 64 → hidden → 10 with ReLU, initialised from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = nn.Linear(64, hidden, bias=bias), nn.Linear(hidden, 10, bias=bias)
    return nn.Sequential(first, nn.ReLU(), second).to(dtype)


def minibatches(count: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield index batches, epoch after epoch, in an order that depends on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    left: Tensor = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(left) < size:
            left = torch.randperm(count, generator=generator)
        yield left[:size]
        left = left[size:]


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of right answers."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


@attrs.frozen(eq=False)
class Run:
    """A training run: losses, snapshots of the weights (start first), and the test accuracy."""

    losses: list[float]
    weights: list[list[Tensor]]
    accuracy: float


def train(
    model: nn.Module,
    data: Data,
    optimizers: Sequence[DeclaredOptimizer],
    steps: int,
    tick: Tick,
    seed: int = 0,
    batch: int = 128,
) -> Run:
    """Train by cross-entropy; call `tick` after every step."""
    losses, weights = [], [_snapshot(model)]
    orders = (minibatches(len(data.train_x), batch, steps, seed + k) for k in (0, 1))
    for pair in zip(*orders, strict=True):
        first, second = (partial(_loss, model, data.train_x[k], data.train_y[k]) for k in pair)
        loss = take(optimizers, first, second)
        losses.append(float(loss))
        weights.append(_snapshot(model))
        tick()
    return Run(losses, weights, accuracy(model, data.test_x, data.test_y))


def take(
    optimizers: Sequence[DeclaredOptimizer],
    loss_of: Callable[[], Tensor],
    fresh: Callable[[], Tensor],
) -> Tensor:
    """Take one step of several optimizers from one evaluation of the loss; return it.

    Those whose rule asks for more of the loss evaluate it anew, or that of another batch if it
    asks on a fresh sample, before any other steps.
    """
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = loss_of()
    loss.backward()  # type: ignore[no-untyped-call]
    asking = [x for x in optimizers if any(g["rule"].asks for g in x.param_groups)]
    for optimizer in asking:
        again, another = (partial(_evaluated, optimizer, x) for x in (loss_of, fresh))
        optimizer.step(again, fresh=another)
    for optimizer in optimizers:
        if optimizer not in asking:
            optimizer.step(loss=loss.detach())
    return loss.detach()


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x), y)


def _evaluated(optimizer: DeclaredOptimizer, loss_of: Callable[[], Tensor]) -> Tensor:
    """Evaluate a loss and the gradients of an optimizer's parameters, with their graphs."""
    optimizer.zero_grad()
    loss = loss_of()
    params = [p for group in optimizer.param_groups for p in group["params"]]
    loss.backward(create_graph=True, inputs=params)  # type: ignore[no-untyped-call]
    return loss


def _snapshot(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def optimizers_for(
    model: nn.Module, rule: Declaration, vectors: Declaration, **hyper: float
) -> tuple[list[DeclaredOptimizer], str]:
    """Return optimizers that cover a model, and a sentence on which rule each parameter gets.

    Everything gets the rule; where the rule is for matrices only, biases get `vectors`.
    """
    params = list(model.parameters())
    options: dict[str, Any] = {**hyper, **({"capture": capture(model)} if rule.moments else {})}
    try:
        return [rule(params, **options)], f"{rule.name} on all {len(params)} parameters"
    except GradientError:
        matrices = [p for p in params if p.ndim == 2]
        rest = [p for p in params if p.ndim != 2]
        told = f"{rule.name} on {len(matrices)} matrices, {vectors.name} on {len(rest)} vectors"
        return [rule(matrices, **options), vectors(rest)], told
