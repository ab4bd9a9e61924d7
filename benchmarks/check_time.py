"""How long checking all groups takes, per rule, warm: with and without the search for witnesses."""

from __future__ import annotations

import statistics
import time

import normdsl.algorithms as algorithms
from normdsl.compiler.invariance import groups
from normdsl.compiler.verdicts.check import check
from normdsl.declarations.rule import Rule

ROUNDS = 3


def seconds(rule: Rule, witnesses: bool) -> float:
    """Return the median time of a check."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        check(rule, witnesses=witnesses)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print(f"{len(groups.ALL)} groups, seconds: proofs only, with witnesses")
    for name in algorithms.__all__:
        rule = getattr(algorithms, name)
        print(f"{name:<20} {seconds(rule, False):.2f}  {seconds(rule, True):.2f}")
