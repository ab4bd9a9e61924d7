"""A scope: where an expression stands, and what may be asked about it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Judgement
from normdsl.compiler.invariance.laws import Law
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import Carry


class Scope(Protocol):
    """What proofs of recursions and of mirror images ask of the inference they are part of.

    Args:
        group: the group. states: laws assumed of `Carry` symbols.
        memory: judgements of recursions, shared by all scopes.
    """

    group: Group
    states: dict[Carry, Law]
    memory: dict[Any, Any]

    def judge(self, expr: Expr) -> tuple[Judgement, ...]:
        """Return every judgement of an expression.

        Raises:
            Failure: if it has none.
        """
        ...

    def specialised(self, expr: Expr) -> Iterator[Judgement]:
        """Yield judgements of an expression that hold when one hyper-parameter is zero."""
        ...

    def within(self, states: Mapping[Carry, Law]) -> Scope:
        """Return the scope inside a recursion's body."""
        ...
