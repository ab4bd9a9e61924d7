"""How exact a polar factor is: the singular values of a step, which should all be equal."""

from __future__ import annotations

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
        p.grad = _conditioned(p.shape).to(p)
        p.detach().zero_()
    optimizer.step()
    values = [torch.linalg.svdvals(p.detach().double().cpu()) for p in params]
    return rounded(max(float((s / s.median() - 1).abs().max()) for s in values))


def _conditioned(shape: torch.Size) -> torch.Tensor:
    """Return a random matrix with singular values from 1 to 0.1."""
    draw = torch.Generator().manual_seed(1)
    k = min(shape)
    u, v = (torch.linalg.qr(torch.randn(n, k, generator=draw).double()).Q for n in shape)
    values = torch.logspace(0, -1, k, dtype=torch.float64)
    product: torch.Tensor = (u * values) @ v.mT
    return product
