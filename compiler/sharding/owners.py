"""Owners: which processes compute what needs a whole matrix, so that work is even.

An owner is a process, or a group of neighbours that divide the long side of the matrix. Its number
is its first process, plus that of all processes for each further one of a group: it says both.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence

import attrs

#: Work of a matrix from which on a group may own it: below, what its further collectives wait for
#: (five of them, some ten microseconds each) is more than what is gained (about 20 operations for
#: each unit of work, at 600 TFLOP/s).
LARGE = 2**33
#: What the sums of a group take, as if so much were added to its long side: four sums of s² numbers
#: in float32 at 450 GB/s within a machine, beside 600 TFLOP/s.
SUMS = 2048


@attrs.frozen
class Job:
    """A matrix that needs an owner.

    Args:
        size: rows and columns. bytes: what an owner alone has of it; by default its entries in
            float32. group: of how many processes a group is that may own it; 1 for none.
    """

    size: tuple[int, int]
    bytes: int = attrs.field()
    group: int = 1

    @bytes.default
    def _entries(self) -> int:
        return 4 * self.size[0] * self.size[1]


class CapError(Exception):
    """No process may take a matrix: what it would have with it is the argument."""


def work(size: tuple[int, int], among: int = 1) -> int:
    """Return how much a polar factor takes, about, s the short side: s² (long / among + s).

    Args:
        size: rows and columns. among: how many processes divide the long side, and sum over it.
    """
    short, long = sorted(size)
    return short**2 * (-(-long // among) + short + (SUMS if among > 1 else 0))


def group_size(processes: int, most: int) -> int:
    """Return how many processes a group has, at most so many: equal parts of all processes."""
    return next(k for k in range(min(most, processes), 0, -1) if processes % k == 0)


def number(first: int, size: int, processes: int) -> int:
    """Return the number of an owner: a process, or a group of some from that on."""
    return first + (size - 1) * processes


def members(owner: int, processes: int) -> range:
    """Return the processes that are an owner: itself, or those of a group."""
    further, first = divmod(owner, processes)
    return range(first, first + further + 1)


def dealt(
    new: Sequence[Job],
    processes: int,
    others: Iterable[tuple[Job, int]] = (),
    cap: int | None = None,
) -> list[int]:
    """Return an owner for each new matrix: the costliest first, to who has least work.

    The longest processing time first (Graham 1969), within 4/3 of the best; of equal processes the
    one with the fewest bytes, then the first. Groups own the matrices of some largest sizes, as
    many as makes the busiest process have least work: none, unless one matrix takes more than the
    mean of all processes, or more bytes than one may have.

    Args:
        new: those that have none. processes: how many there are.
        others: those that have an owner, and which.
        cap: the most bytes that a process may have of all that it owns; None for any.

    Raises:
        CapError: if a process would have more.
    """
    others = list(others)
    total = sum(work(job.size) for job in (*new, *(job for job, _ in others)))
    sizes = sorted(
        {x.size for x in new if x.group > 1 and _is_large(x, total / processes, cap)},
        key=lambda size: (-work(size), size),
    )
    found: list[tuple[int, list[int]]] = []
    refused: CapError | None = None
    for k in range(len(sizes) + 1):
        try:
            found.append(_dealt(new, processes, others, cap, sizes[:k]))
        except CapError as error:
            refused = error
    if not found:
        assert refused is not None
        raise refused
    return min(found, key=lambda pair: pair[0])[1]


def _is_large(job: Job, mean: float, cap: int | None) -> bool:
    """Return whether a matrix is too large for one process's turn."""
    return LARGE <= work(job.size) > mean or (cap is not None and job.bytes > cap)


def _dealt(
    new: Sequence[Job],
    processes: int,
    others: Iterable[tuple[Job, int]],
    cap: int | None,
    grouped: Collection[tuple[int, int]],
) -> tuple[int, list[int]]:
    """Return the work of the busiest process, and the owners, if groups own all of some sizes."""
    loads = [[0, 0, k] for k in range(processes)]
    for job, owner in others:
        _take(loads, job, owner)
    found = [0] * len(new)
    order = sorted(range(len(new)), key=lambda k: (-work(new[k].size), k))
    shared = [k for k in order if new[k].group > 1 and new[k].size in grouped]
    for k in shared:
        size = new[k].group
        first = min(range(0, processes, size), key=lambda g: max(loads[g : g + size]))
        found[k] = number(first, size, processes)
        _take(loads, new[k], found[k], cap)
    heap = [tuple(load) for load in loads]
    heapq.heapify(heap)
    for k in order:
        if k not in shared:
            full = []
            while heap and cap is not None and heap[0][1] + new[k].bytes > cap:
                full.append(heapq.heappop(heap))
            if not heap:
                raise CapError(min(x[1] for x in full) + new[k].bytes)
            done, bytes_, found[k] = heap[0]
            now = done + work(new[k].size), bytes_ + new[k].bytes, found[k]
            heapq.heapreplace(heap, now)
            for x in full:
                heapq.heappush(heap, x)
    return max(x[0] for x in heap), found


def _take(loads: list[list[int]], job: Job, owner: int, cap: int | None = None) -> None:
    among = members(owner, len(loads))
    for k in among:
        loads[k][0] += work(job.size, len(among))
        loads[k][1] += -(-job.bytes // len(among))
        if cap is not None and loads[k][1] > cap:
            raise CapError(loads[k][1])
