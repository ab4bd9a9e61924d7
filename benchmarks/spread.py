"""How exact a polar factor is: the singular values of a step, which should all be equal."""

from __future__ import annotations

from typing import Any

import torch

from normdsl.benchmarks.contestants import Contestant
from normdsl.benchmarks.results import rounded
from normdsl.benchmarks.sets import Shape, parameters


def spread(contestant: Contestant, shapes: tuple[Shape, ...], device: str) -> float | None:
    """Return how far singular values of a first step are from their median, at most.

    From W = 0 the step is a multiple of the polar factor of the gradient, of which the singular
    values go from 1 to 0.1.
    """
    if not contestant.polar:
        return None
    params = parameters(dict.fromkeys(shapes), device)
    optimizer = contestant.make(params, device)
    for p in params:
        p.grad = _conditioned(p.shape, device).to(p)
        p.detach().zero_()
    optimizer.step()
    return rounded(max(_from_median(p.detach().double()) for p in params))


def _from_median(x: torch.Tensor) -> float:
    """Return how far singular values are from their median, relative to it.

    They are roots of the eigenvalues of the short side's Gram matrix: quick also on a GPU, and to
    eight digits where they are about equal.
    """
    short = x if x.shape[0] <= x.shape[1] else x.mT
    values = torch.linalg.eigvalsh(short @ short.mT).clamp_min(0).sqrt()
    return float((values / values.median() - 1).abs().max())


def _conditioned(shape: torch.Size, device: str) -> torch.Tensor:
    """Return a random matrix with singular values from 1 to 0.1."""
    draw = torch.Generator(device).manual_seed(1)
    of: Any = {"device": device, "dtype": torch.float64}
    k = min(shape)
    u, v = (torch.linalg.qr(torch.randn(n, k, generator=draw, **of)).Q for n in shape)
    values = torch.logspace(0, -1, k, **of)
    product: torch.Tensor = (u * values) @ v.mT
    return product
