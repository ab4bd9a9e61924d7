"""Replacing a stream by an expression, in recursions as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normdsl.declarations.folding import Folding
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Query
from normdsl.expressions.recursion import Before, State, fix


class Substitution(Folding):
    """Replaces symbols by expressions that may have states of their own.

    A recursion that comes to contain another one nests more deeply than before, so every recursion
    is built anew by `nd.fix`, which counts the levels and infers the facts again.

    Args:
        table: what takes the place of symbols.
        answered: of a query and what it has become, what takes its place; if anything does.
    """

    def __init__(
        self,
        table: Mapping[Expr, Expr],
        answered: Callable[[Query, Expr], Expr] | None = None,
    ) -> None:
        super().__init__(table)
        self._answered = answered

    def _visit(self, expr: Expr) -> Expr:
        if isinstance(expr, State):
            return self._reopened(expr)
        changed = super()._visit(expr)
        if self._answered is None or not isinstance(expr, Query):
            return changed
        return self._answered(expr, changed)

    def _reopened(self, state: State) -> Expr:
        """Return a state of the recursion with its bodies changed."""
        old = state.recursion

        def step(*states: Expr) -> tuple[Expr, ...]:
            carried: dict[Any, Expr] = {old.carry(i): new for i, new in enumerate(states)}
            inside = Substitution(carried, self._answered)
            inside._done = self._done | inside._done
            return tuple(inside(body) for body in old.bodies)

        after: State = fix(step, tuple(map(self, old.inits)))[state.index]
        return Before(after.recursion, state.index) if isinstance(state, Before) else after
