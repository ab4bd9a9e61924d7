"""Memory of a step: the most bytes it holds, at a time, beyond what was there and what stays.

On a GPU the allocator counts them. On a CPU torch's profiler reports every allocation, those of
compiled code and inside an operator as well, which a dispatch mode doesn't see.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile


def extra(step: Callable[[], object], device: str) -> int:
    """Return the bytes that one step takes besides parameters, gradients and states."""
    return _on_gpu(step) if device == "cuda" else _on_cpu(step)


def _on_gpu(step: Callable[[], object]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    stays = max(0, torch.cuda.memory_allocated() - before)
    return torch.cuda.max_memory_allocated() - before - stays


def _on_cpu(step: Callable[[], object]) -> int:
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    kineto = seen.profiler
    assert kineto is not None
    assert kineto.kineto_results is not None
    now = most = 0
    for event in kineto.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most - max(0, now)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the profiler's library writes by itself from the stream of errors."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
