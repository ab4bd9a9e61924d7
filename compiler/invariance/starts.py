"""Starts of states: every law by which the states of the other run may start.

A constant is what it is in both runs; that a state starts transformed along with the weights is an
assumption, and the law it does so by is one of these.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import attrs
import sympy

from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import unsigned
from normdsl.compiler.invariance.laws import (
    FIXED,
    INVARIANT,
    ONE,
    ZERO,
    Index,
    Law,
    index,
)
from normdsl.expressions.expr import Expr
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import After, State
from normdsl.expressions.shapes import STACK

#: Powers of a group element, or of its unit, that a start is tried with.
_POWERS = tuple(map(sympy.Integer, (1, -1, 2, -2)))
#: The most ways of starting all states that a witness is asked to part under.
MOST = 64


@attrs.frozen
class Start:
    """The ways in which a state of the other run may start.

    Args:
        state: the state. laws: by which its start may move; if none, it is that of the other run.
    """

    state: After
    laws: tuple[Law, ...]


def possible(group: Group, state: Expr) -> list[Law]:
    """Return the laws by which the start of a state could move, likelier ones first."""
    dims = state.shape
    rows, cols = (_powers(group.acting(d)) for d in (dims.rows, dims.cols))
    square = dims.rows == dims.cols and state.facts.symmetric
    sides = [(p, q) for p in rows for q in cols if not (square and p != q)]
    like = group.entrywise(dims)  # those of W, or of parameters of its shape
    entries = list(dict.fromkeys(x for ix in like for x in _powers(ix))) or [FIXED]
    has_units = (group.weight_unit or group.loss_unit) and not group.each_step
    units = [*_POWERS, ZERO] if has_units else [ZERO]
    offsets = [ONE, ZERO] if group.shift and (like or dims == STACK) else [ZERO]
    found = [
        Law(p, q, e, unit, offset)
        for (p, q), e, unit, offset in itertools.product(sides, entries, units, offsets)
    ]
    return [law for law in found if law != INVARIANT]


def _powers(ix: Index) -> list[Index]:
    """Return what may act on an index of a state: a power of the group element, or nothing."""
    if ix == FIXED:
        return [FIXED]
    powers = _POWERS if ix.cls.diagonal else _POWERS[:2]
    found = [index(ix.element, ix.cls, p) for p in powers]
    if ix.cls.signed and not ix.cls.diagonal:
        found.append(unsigned(ix))
    return list(dict.fromkeys([*found, FIXED]))


def told(given: Conditions, group: Group) -> tuple[Start, ...]:
    """Return how states start in the other run, as far as assumptions fix it.

    A transposed run has states of other shapes, and starts them by its own rule.
    """
    if group.swap:
        return ()
    moved, fixed = (_told(given, kind) for kind in (Kind.TRANSPORTED, Kind.UNMOVED))
    starts = [Start(s, tuple(possible(group, s))) for s in moved - fixed]
    starts += [Start(s, (INVARIANT,)) for s in fixed - moved]
    starts += [Start(s, (*possible(group, s), INVARIANT)) for s in fixed & moved]
    return tuple(sorted((s for s in starts if s.laws), key=lambda s: s.state.fingerprint))


def ways(starts: Iterable[Start]) -> list[dict[After, Law]] | None:
    """Return every way of starting the states; None if there are too many."""
    listed = list(starts)
    choices = itertools.product(*(s.laws for s in listed))
    found = list(itertools.islice(choices, MOST + 1))
    if len(found) > MOST:
        return None
    return [dict(zip((s.state for s in listed), laws, strict=True)) for laws in found]


def _told(given: Conditions, kind: Kind) -> set[After]:
    """Return the states that assumptions of a kind are about; starts that read W follow W."""
    about = [c.of for c in given if isinstance(c, Assumption) and c.kind is kind]
    states = [x for x in about if isinstance(x, State) and not _starts_from_weights(x)]
    return {After(s.recursion, s.index, where=None) for s in states}


def _starts_from_weights(state: State) -> bool:
    return Origin.WEIGHTS in state.recursion.inits[state.index].origins
