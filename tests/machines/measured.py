"""What one rank of eight sends in a step, and what a step takes its host, measured here.

The other ranks are pretended: collectives are counted, and nothing arrives.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from fake_ranks import Counted, fake_mesh
from torch import nn
from torch.distributed.tensor import Shard, distribute_tensor

from normdsl.algorithms import adamw, muadam, muon, shampoo, soap

RANKS = 8
#: Of which the bytes are counted, and of which there are so many for the host's time.
LARGE, SMALL, MANY = (1024, 4096), (64, 64), (48, 200)
ROUNDS = 20

Make = Callable[[list[nn.Parameter]], Any]
#: Optimizers of torch, of which each operation is dispatched to shards.
COUNTED: dict[str, tuple[Make, int]] = {
    "torch.optim.Muon, rows": (torch.optim.Muon, 0),
    "torch.optim.Muon, columns": (torch.optim.Muon, 1),
    "torch.optim.AdamW": (torch.optim.AdamW, 0),
}
#: Optimizers that are timed, and with how many matrices.
TIMED: dict[str, tuple[Make, tuple[int, ...]]] = {
    "normdsl AdamW": (adamw, MANY),
    "torch AdamW, foreach": (lambda ps: torch.optim.AdamW(ps, foreach=True), MANY),
    "normdsl Muon": (muon, MANY),
    "normdsl MuAdam": (muadam, MANY),
    "normdsl SOAP": (soap, MANY),
    "normdsl Shampoo": (shampoo, MANY),
    "torch Muon": (torch.optim.Muon, MANY[:1]),
}


def counted(make: Make, dim: int) -> dict[str, float]:
    """Return collectives, and bytes over those of W, of the second step of one matrix."""
    with fake_mesh(RANKS) as mesh:
        step = _step(make, LARGE, 1, lambda x: distribute_tensor(x, mesh, [Shard(dim)]))
        step()
        with Counted() as seen:
            step()
    return {"collectives": seen.collectives, "share": seen.bytes / (4 * LARGE[0] * LARGE[1])}


def _step(make: Make, shape: tuple[int, int], count: int, place: Callable[..., Any]) -> Any:
    torch.manual_seed(0)
    params = [nn.Parameter(place(torch.randn(shape))) for _ in range(count)]
    for p in params:
        p.grad = place(torch.randn(shape))
    return make(params).step


def timed() -> list[dict[str, Any]]:
    """Return medians in ms of steps that take turns: plain, of a rank's share, as one of eight."""
    with fake_mesh(RANKS) as mesh:
        shards = lambda x: distribute_tensor(x, mesh, [Shard(0)])  # noqa: E731
        return [
            {"name": name, "count": count, **_in_turn(make, count, shards)}
            for name, (make, counts) in TIMED.items()
            for count in counts
        ]


def _in_turn(make: Make, count: int, shards: Callable[..., Any]) -> dict[str, float]:
    steps = {
        "plain": _step(make, SMALL, count, lambda x: x),
        "share": _step(make, SMALL, count // RANKS, lambda x: x),
        "shards": _step(make, SMALL, count, shards),
    }
    found: dict[str, list[float]] = {key: [] for key in steps}
    for k in range(ROUNDS + 3):
        for key, step in steps.items():
            start = time.perf_counter()
            step()
            if k >= 3:  # the first steps plan and compile
                found[key].append(1e3 * (time.perf_counter() - start))
    return {key: statistics.median(each) for key, each in found.items()}


def measured() -> dict[str, Any]:
    """Return all that is measured, and on what."""
    torch.set_num_threads(1)
    return {
        "torch": torch.__version__,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "counted": {name: counted(*said) for name, said in COUNTED.items()},
        "host": timed(),
    }
