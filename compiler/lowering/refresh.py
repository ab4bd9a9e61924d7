"""Refresh: which values a schedule keeps between steps, and what is computed with them.

A kept value V(S) of a state S, or a subspace that is spanned once for some steps, becomes one more
state of the program, unless it is one already, as an eigenbasis is in whose coordinates another
state is kept. What was kept, and old states that turn along with an eigenbasis, are given to
`arrays`; `renew` computes them anew, for those matrices of a batch whose turn it is. An int says
what a step does: 0 keep, 1 compute, 2 compute for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from normdsl.expressions import nodes as n
from normdsl.expressions.conduct import Role
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Eigenbasis
from normdsl.expressions.nodes.constants import is_constant
from normdsl.expressions.recursion import Before
from normdsl.schedules.schedule import Schedule

KEEP, COMPUTE, FIRST = 0, 1, 2


def kept_values(roots: Iterable[Expr], schedule: Schedule) -> list[Expr]:
    """Return the values of a derived step that a schedule keeps, operands first.

    What reads a scalar of all layers that depends on kept values itself is not kept: layers keep
    theirs for different times.
    """
    found: dict[Expr, None] = {}
    for x in inside(roots):
        if _is_kept(x, schedule) and (_reads_a_state(x) or x.role is Role.SUBSPACE):
            shared = [y for scalar in combined([x]) for y in inside([scalar])]
            if not any(y in found for y in shared):
                found[x] = None
    return list(found)


def turning(roots: Iterable[Expr], last: Mapping[Expr, Before]) -> dict[Expr, Before]:
    """Return old values that are read in the coordinates of kept bases, and their states.

    (Qᵀ Q₋) s₋ is s₋ itself as long as Q is Q₋, since QᵀQ = I, and so is (Qᵀ Q₋)² s₋.

    Args:
        roots: a derived step. last: for kept values that are states, their last values.
    """
    found: dict[Expr, Before] = {}
    for x in reversed(inside(roots)):  # the largest first
        old = _unturned(x, last)
        if old is not None and old is not x and old not in found.values():
            found[x] = old
    return found


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


def phase(done: int, refresh: int, offset: int = 0) -> int:
    """Return what the step after `done` steps does with kept values."""
    return FIRST if done == 0 else COMPUTE if (done + offset) % refresh == 0 else KEEP


def _is_kept(expr: Expr, schedule: Schedule) -> bool:
    if isinstance(expr, Eigenbasis) and schedule.eigenbasis.iterative:
        return True
    return expr.role is not None and expr.role.refreshed and schedule.refresh > 1


def _reads_a_state(expr: Expr) -> bool:
    return any(isinstance(x, Before) for x in inside([expr]))


def _unturned(expr: Expr, last: Mapping[Expr, Before]) -> Before | None:
    """Return the state that an expression is while eigenbases stay; None if it is not one."""
    match expr:
        case Before():
            return expr
        case n.MatMul(left=x, right=y):
            rest = y if _stays(x, last) else x if _stays(y, last) else None
            return None if rest is None else _unturned(rest, last)
    return None


def _stays(expr: Expr, last: Mapping[Expr, Before]) -> bool:
    """Return whether an expression is Qᵀ Q₋ or Q₋ᵀ Q of a kept basis, or its square."""
    match expr:
        case n.Pow(base=x, exponent=p) if is_constant(p, 2):
            return _stays(x, last)
        case n.MatMul(left=n.Transpose(arg=x), right=y):
            bases = [q for q in last if q.is_basis]
            return any({x, y} == {q, last[q]} for q in bases)
    return False


def _collect(root: Expr, found: dict[Expr, None], whole: Callable[[Expr], bool]) -> None:
    if root not in found:
        for child in () if isinstance(root, Before) or whole(root) else root.children:
            _collect(child, found, whole)
        found[root] = None
