"""Side by side: batches of matrices that step at the same time, on CPUs with several threads.

Matrices are shared among threads better than the products and factorisations of one are: a product
of a few hundred rows keeps each of them busy for less than a millisecond, and LAPACK hardly uses a
second one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import lru_cache, partial
from threading import Barrier

import torch
from torch import Tensor

from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.buckets.matrices import Matrices
from normdsl.compiler.sharding.owners import work

#: Batches of fewer entries, together, take less time than it takes to hand them over.
FEW = 2**18
#: A batch with more than so many times the work of a thread's share would keep the others waiting.
LONG = 1.5


def run(
    buckets: Sequence[Bucket],
    jobs: Sequence[Callable[[], Tensor]],
    after: Callable[[Bucket, Tensor], Tensor],
) -> list[Tensor]:
    """Call a job for each bucket, some at the same time, and return what is made of the results.

    Args:
        buckets: the buckets. jobs: one for each.
        after: is given each bucket whose job has ended, in order, and its result.

    Raises:
        Exception: the first that a job raises, once those that have begun have ended.
    """
    together = chosen(buckets)
    begun: dict[int, Future[Tensor]] = {}
    if together:
        pool = _pool(*_threads(len(together)))
        begun = {k: pool.submit(copy_context().run, partial(_called, jobs[k])) for k in together}
        try:
            wait(begun.values())
        finally:  # also if interrupted: what has begun writes, and must end first
            wait(begun.values())
    found, first = [], None
    for k, (bucket, job) in enumerate(zip(buckets, jobs, strict=True)):
        error = begun[k].exception() if k in begun else None
        if error is None and (first is None or k in begun):
            found.append(after(bucket, begun[k].result() if k in begun else job()))
        first = first or error
    if first is not None:
        raise first
    return found


def told(buckets: Sequence[Bucket]) -> tuple[str, ...]:
    """Return what is said of it in an explanation; nothing if all step one after the other."""
    together = chosen(buckets)
    if not together:
        return ()
    workers, each = _threads(len(together))
    shared = "one thread" if each == 1 else f"{each} threads"
    return (f"{len(together)} batches step {workers} at a time, each on {shared} of the CPU",)


def chosen(buckets: Sequence[Bucket]) -> list[int]:
    """Return the numbers of buckets that step at the same time, those with most work first.

    Values that are kept for some steps, and due at this one, are a part of its work.

    Not if the process is looked at: what watches a thread would not see what the others do.
    """
    if len(buckets) < 2:
        return []
    able = {k: x for k, x in enumerate(buckets) if isinstance(x, Matrices) and _may_run(x)}
    if len(able) < 2:
        return []
    threads = torch.get_num_threads()
    if threads == 1 or _is_watched():
        return []
    if sum(p.numel() for x in able.values() for p in x.params) < FEW:
        return []
    costs = {k: x.total * work(x.size) for k, x in able.items()}
    found = sorted(costs, key=lambda k: -costs[k])
    while found and _is_long([costs[k] for k in found], threads):
        del found[0]  # alone, on all threads
    if len(found) < 2:
        return []
    return sorted(found, key=lambda k: -costs[k] - _renewing(able[k]))


def _renewing(bucket: Matrices) -> int:
    """Return how much work it is, about, to compute the kept values that are due."""
    phase, due = bucket.turn
    if not phase:
        return 0
    members = len(bucket.members) if due is None else due.stop - due.start
    return members * bucket.each * bucket.stepper.program.kept_work(bucket.size)


def _is_long(costs: Sequence[int], threads: int) -> bool:
    """Return whether the first, with most work, would keep others waiting."""
    return costs[0] * min(threads, len(costs)) > LONG * sum(costs)


def _may_run(bucket: Matrices) -> bool:
    if bucket.clocks.device.type != "cpu" or bucket.is_divided:
        return False
    return not bucket.stepper.program.schedule.compile and not bucket.shares


def _is_watched() -> bool:
    """Return whether a mode or a profiler of this thread sees what is called."""
    modes = torch._C._len_torch_dispatch_stack() + torch._C._len_torch_function_stack()
    profiled = torch._C._autograd._profiler_enabled()
    return bool(modes or profiled or torch.is_inference_mode_enabled())


def _called(job: Callable[[], Tensor]) -> Tensor:
    with torch.no_grad():  # which is a setting of each thread
        return job()


def _threads(jobs: int) -> tuple[int, int]:
    """Return how many jobs run at a time, and on how many threads each."""
    threads = torch.get_num_threads()
    workers = min(threads, jobs)
    return workers, threads // workers


@lru_cache(maxsize=1)
def _pool(workers: int, each: int) -> ThreadPoolExecutor:
    """Return threads that wait for jobs, whose operators use so many threads each."""
    usual, ready = torch.get_num_threads(), Barrier(workers + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread takes over the usual number when it first asks
        torch.set_num_threads(each)
        ready.wait()

    pool = ThreadPoolExecutor(workers, "normdsl", begin)
    for _ in range(workers):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(usual)  # which is also what threads that begin later take over
    return pool


if hasattr(os, "register_at_fork"):  # a child process has none of the threads of its parent
    os.register_at_fork(after_in_child=_pool.cache_clear)
