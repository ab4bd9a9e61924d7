"""Refresh: which values a schedule keeps between steps, and how each is written.

A kept value V(S) of a state S becomes one more state of the program, unless it is one already, as
an eigenbasis is in whose coordinates another state is kept. And `step` gets an argument that says
what to do with it, a Python int: 0 keep, 1 compute, 2 compute for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Eigenbasis
from normdsl.expressions.recursion import Before
from normdsl.schedules.schedule import Schedule

KEEP, COMPUTE, FIRST = 0, 1, 2


def kept_values(roots: Iterable[Expr], schedule: Schedule) -> list[Expr]:
    """Return the values of a derived step that a schedule keeps, operands first."""
    return [x for x in inside(roots) if is_scheduled(x, schedule)]


def is_scheduled(expr: Expr, schedule: Schedule) -> bool:
    """Return whether a schedule says at which steps an expression of a derived step is computed."""
    return _is_kept(expr, schedule) and _reads_a_state(expr)


def inside(roots: Iterable[Expr], whole: Callable[[Expr], bool] = lambda _: False) -> list[Expr]:
    """Return the sub-expressions of a derived step, children first; what states were is not one.

    Args:
        roots: where to begin. whole: of which expressions the parts are left out.
    """
    found: dict[Expr, None] = {}
    for root in roots:
        _collect(root, found, whole)
    return list(found)


def combined(roots: Iterable[Expr]) -> tuple[Across, ...]:
    """Return the scalars combined over layers in them, each after those it depends on."""
    return tuple(x for x in inside(roots) if isinstance(x, Across))


def phase(done: int, refresh: int) -> int:
    """Return what the step after `done` steps does with kept values."""
    return FIRST if done == 0 else COMPUTE if done % refresh == 0 else KEEP


def conditional(argument: str, first: str, later: str | None, old: str) -> str:
    """Return the code of a kept value; `later` computes it from the old one, if that differs."""
    fresh = first if later is None else f"{first} if {argument} == {FIRST} else {later}"
    return f"{fresh} if {argument} else {old}"


def _is_kept(expr: Expr, schedule: Schedule) -> bool:
    if isinstance(expr, Eigenbasis) and schedule.eigenbasis.iterative:
        return True
    return expr.role is not None and expr.role.refreshed and schedule.refresh > 1


def _reads_a_state(expr: Expr) -> bool:
    return any(isinstance(x, Before) for x in inside([expr]))


def _collect(root: Expr, found: dict[Expr, None], whole: Callable[[Expr], bool]) -> None:
    if root not in found:
        for child in () if isinstance(root, Before) or whole(root) else root.children:
            _collect(child, found, whole)
        found[root] = None
