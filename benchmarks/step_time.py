"""Time of one optimizer step, against torch.optim, as ratios measured in one run.

    python benchmarks/step_time.py

Both optimizers step in turn on equal parameters; the figure is the median of the pairwise ratios
ours / theirs, so a machine that slows down slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

import normdsl as nd
from normdsl import algorithms

SHAPES = {
    "12 × 256×256": [(256, 256)] * 12,
    "4 × 512×2048": [(512, 2048)] * 4,
    "64 × 64×64": [(64, 64)] * 64,
}
NEWTON = nd.Schedule(polar=nd.jordan(dtype="bfloat16"))
PAIRS: dict[str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]]
COMPILED = nd.Schedule(compile=True)
PAIRS = {
    "adamw / torch.optim.AdamW": (algorithms.adamw, torch.optim.AdamW),
    "adamw, compiled / torch AdamW": (
        lambda p: algorithms.adamw(p, schedule=COMPILED),
        torch.optim.AdamW,
    ),
    "sgd_momentum / torch.optim.SGD": (
        algorithms.sgd_momentum,
        lambda p: torch.optim.SGD(p, momentum=0.9),
    ),
    "muon / torch.optim.Muon": (
        lambda p: algorithms.muon(p, schedule=NEWTON),
        torch.optim.Muon,
    ),
}


def parameters(shapes: list[tuple[int, int]]) -> list[nn.Parameter]:
    """Return parameters with gradients."""
    params = [nn.Parameter(torch.randn(s) / 30) for s in shapes]
    for p in params:
        p.grad = torch.randn_like(p) / 30
    return params


def ratio(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer, rounds: int = 15) -> float:
    """Return the median over rounds of our step time over theirs."""
    ratios = []
    for k in range(rounds + 2):
        times = []
        for optimizer in (ours, theirs):
            start = time.perf_counter()
            optimizer.step()
            times.append(time.perf_counter() - start)
        if k >= 2:
            ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def main() -> None:
    """Print the table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, CPU")
    for name, (ours, theirs) in PAIRS.items():
        for label, shapes in SHAPES.items():
            value = ratio(ours(parameters(shapes)), theirs(parameters(shapes)))
            print(f"{name:<34} {label:<14} {value:5.2f}")


if __name__ == "__main__":
    main()
