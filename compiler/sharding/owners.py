"""Owners: which process computes what needs a whole matrix, so that work is even."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def work(size: tuple[int, int]) -> int:
    """Return how much a factorisation of a matrix m × n takes, about: m n min(m, n)."""
    m, n = size
    return m * n * min(m, n)


def dealt(
    new: Sequence[tuple[int, int]],
    processes: int,
    others: Iterable[tuple[tuple[int, int], int]] = (),
) -> list[int]:
    """Return an owner for each new matrix: the costliest first, to who has least work.

    The longest processing time first (Graham 1969), within 4/3 of the best; of equal processes the
    one with the fewest entries, then the first.

    Args:
        new: rows and columns of those that have none. processes: how many there are.
        others: rows and columns of those that have an owner, and which.
    """
    loads = [[0, 0, k] for k in range(processes)]
    for size, owner in others:
        _take(loads[owner], size)
    found = [0] * len(new)
    for k in sorted(range(len(new)), key=lambda k: (-work(new[k]), k)):
        least = min(loads)
        _take(least, new[k])
        found[k] = least[2]
    return found


def _take(load: list[int], size: tuple[int, int]) -> None:
    load[0] += work(size)
    load[1] += size[0] * size[1]
