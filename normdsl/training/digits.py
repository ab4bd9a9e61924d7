"""Scikit-learn's digits, and a network of two layers that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import torch
from torch import Tensor, nn


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


def accuracy(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Return the share of right answers."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())
