"""What a step needs of other workers: means over them, and at which steps.

A mean that stands in a choice by the step index alone, as `nd.every` makes them, is needed where it
is chosen; workers meet at these steps only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Relation, Where, WorkersMean
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import SCALAR

#: A comparison of numbers that all workers have, and whether it holds.
Fact = tuple[Relation, Expr, Expr, bool]
#: Several such sets of facts, in each of which a value is needed.
Ways = frozenset[frozenset[Fact]]
ALWAYS: Ways = frozenset([frozenset()])
#: A value that is needed in more ways counts as one that is always needed.
_MOST = 16


def averaged(roots: Iterable[Expr]) -> tuple[WorkersMean, ...]:
    """Return the means over workers in them, each after those it depends on."""
    return tuple(x for x in inside(roots) if isinstance(x, WorkersMean))


def needed(roots: Iterable[Expr]) -> dict[WorkersMean, Ways]:
    """Return for each mean over workers in a derived step when it is needed."""
    roots, types = tuple(roots), Types(())
    ways: dict[Expr, Ways] = dict.fromkeys(roots, ALWAYS)
    found = averaged(roots)
    for x in reversed(inside(roots)) if found else ():
        for child, more in _parts(x, ways[x], types):
            ways[child] = _either(ways.get(child, frozenset()), more)
    return {x: ways[x] for x in found}


def _parts(x: Expr, own: Ways, types: Types) -> Iterator[tuple[Expr, Ways]]:
    """Yield the parts of a value that is needed in some ways, with those in which they are."""
    if isinstance(x, Where) and _is_known(x, types):
        told = (x.relation, x.left, x.right)
        yield from ((x.left, own), (x.right, own))
        yield from ((x.yes, _under(own, (*told, True))), (x.no, _under(own, (*told, False))))
    elif not isinstance(x, Before):
        yield from ((child, own) for child in x.children)


def _is_known(x: Where, types: Types) -> bool:
    """Return whether a choice is the same for all entries, and known before a step."""
    sides = (x.left, x.right)
    numbers = all(side.shape == SCALAR and types(side) <= Type.CLOCK for side in sides)
    return numbers and not averaged(sides)


def _under(ways: Ways, fact: Fact) -> Ways:
    """Return the ways that one more fact leaves."""
    against = (*fact[:3], not fact[3])
    return frozenset(way | {fact} for way in ways if against not in way)


def _either(first: Ways, second: Ways) -> Ways:
    """Return the ways of both, without those that others contain."""
    both = first | second
    least = frozenset(way for way in both if not any(other < way for other in both))
    return least if len(least) <= _MOST else ALWAYS
