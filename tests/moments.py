"""Moments of layers for rules that read them, so that tests over all rules can run those too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import normdsl as nd

_SIDE = {"input_moment": 1, "output_moment": 0}


def moments(rule: nd.Declaration, shape: tuple[int, int], seed: int = 0, batch: tuple = ()):
    """Return random moments of layers with weights of `shape`, those the rule reads."""
    return {name: definite(shape[_SIDE[name]], seed + k, batch)
            for k, name in enumerate(rule.moments)}  # fmt: skip


def definite(size: int, seed: int = 0, batch: tuple = ()) -> Tensor:
    """Return random positive definite matrices."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*batch, 2 * size, size, generator=generator, dtype=torch.float64)
    return x.mT @ x / size


class Given:
    """Stands in for a capture: hands out the moments it is given, by parameter."""

    def __init__(self) -> None:
        self.values: dict[Tensor, dict[str, Tensor]] = {}

    def moments(self, weight: Tensor):
        return self.values.get(weight)

    def clear(self, weights) -> None:
        for weight in weights:
            self.values.pop(weight, None)


def capturing(rule: nd.Declaration, model: nn.Module):
    """Return the option that makes a rule read the layers of a model, if it reads any."""
    return {"capture": nd.capture(model)} if rule.moments else {}
