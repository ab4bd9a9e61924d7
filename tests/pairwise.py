"""Cases of several axes: every pair of values of two axes occurs, their full product does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allpairspy import AllPairs


def pairwise(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Return cases in which all pairs of values of any two axes occur."""
    values = [list(axis) for axis in axes]
    places = AllPairs([list(range(len(axis))) for axis in values])
    return [tuple(axis[k] for axis, k in zip(values, case, strict=True)) for case in places]


def rotated(first: Iterable[Any], second: Iterable[Any], count: int) -> list[tuple[Any, Any]]:
    """Return `count` cases for each value of the first axis, through the second one in turn.

    Neighbours take other values; each value of the second axis occurs equally often.
    """
    seconds = list(second)
    return [
        (x, seconds[(k * count + j) % len(seconds)])
        for k, x in enumerate(first)
        for j in range(count)
    ]
