"""Derive: norms replaced by their definitions, recursions opened into one step."""

from __future__ import annotations

import attrs

from normdsl.expr import Expr
from normdsl.norms.base import NormOperation
from normdsl.recursion import After, Before, Recursion, State, release
from normdsl.structure import rebuild


@attrs.frozen
class Slot:
    """One state of an optimizer.

    Args:
        recursion: the recursion it belongs to. index: which of its states it is.
    """

    recursion: Recursion
    index: int

    @property
    def before(self) -> Before:
        """The state before the step: an input of the step."""
        return Before(self.recursion, self.index)

    @property
    def after(self) -> After:
        """The state after the step."""
        return After(self.recursion, self.index)

    @property
    def init(self) -> Expr:
        """Its initial value."""
        return self.recursion.inits[self.index]


class Derivation:
    """Rewrites expressions into primitive ones over `Before` states; collects the states met."""

    def __init__(self) -> None:
        self.slots: dict[Before, Slot] = {}
        self._done: dict[Expr, Expr] = {}

    def __call__(self, expr: Expr) -> Expr:
        """Return `expr` without norm operations, its recursions opened into one step."""
        if expr not in self._done:
            self._done[expr] = self._derive(expr)
        return self._done[expr]

    def _derive(self, expr: Expr) -> Expr:
        match expr:
            case NormOperation():
                return self(expr.definition)
            case State():
                self._register(expr.recursion)
                return expr if isinstance(expr, Before) else self(opened(expr))
            case _:
                rebuilt: Expr = rebuild(expr, Expr, self)
                return rebuilt

    def _register(self, recursion: Recursion) -> None:
        for i in range(len(recursion.inits)):
            slot = Slot(recursion, i)
            self.slots.setdefault(slot.before, slot)


def opened(state: State) -> Expr:
    """Return the new value of a state in terms of the old ones."""
    return release(state.recursion.bodies[state.index], state.recursion, Before)
