"""Memory of a step: the most bytes it holds, at a time, beyond what was there and what stays.

On a GPU the allocator counts them. On a CPU torch's profiler reports every allocation, those of
compiled code and inside an operator as well, which a dispatch mode doesn't see.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile, record_function

STEP = "normdsl: a step"


def extra(
    prepare: Callable[[], object], step: Callable[[], object], steps: int, device: str
) -> int:
    """Return the most bytes that a step takes besides parameters, gradients and states.

    Args:
        prepare: done before each, such as giving gradients. step: what is looked at.
        steps: how many are looked at, after one that isn't: what it makes anew the next one frees.
        device: "cpu" or "cuda".
    """
    return _on_gpu(prepare, step, steps) if device == "cuda" else _on_cpu(prepare, step, steps)


def _on_gpu(prepare: Callable[[], object], step: Callable[[], object], steps: int) -> int:
    found = []
    for _ in range(steps + 1):
        prepare()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        found.append(torch.cuda.max_memory_allocated())
        found[-1] -= max(before, torch.cuda.memory_allocated())
    return max(found[1:])


def _on_cpu(prepare: Callable[[], object], step: Callable[[], object], steps: int) -> int:
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        for _ in range(steps + 1):
            prepare()
            with record_function(STEP):
                step()
    kineto = seen.profiler
    assert kineto is not None
    assert kineto.kineto_results is not None
    events = sorted(kineto.kineto_results.events(), key=lambda event: event.start_ns())
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    spans = [(e.start_ns(), e.start_ns() + e.duration_ns()) for e in events if e.name() == STEP]
    return max(_most(changes, *span) for span in spans[1:])


def _most(changes: list[tuple[int, int]], start: int, end: int) -> int:
    """Return the most bytes held in a span of time beyond those before, or those after."""
    before = sum(size for time, size in changes if time < start)
    now = most = before
    for time, size in changes:
        if start <= time <= end:
            now += size
            most = max(most, now)
    return most - max(before, now)


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
