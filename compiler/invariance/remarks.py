"""Remarks: where a rule's own run is not made of numbers, so that nothing can be said of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import LOG, Apply
from normdsl.expressions.nodes.arithmetic import Pow
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation
from normdsl.show.text import text
from normdsl.source import Where


@attrs.frozen
class Remark:
    """A run that stops being finite.

    Args:
        expr: the smallest expression that is not finite there. reason: what happens in it.
        step: the step, from 1. when: in which runs, in words; empty for every one.
    """

    expr: Expr
    reason: str
    step: int
    when: str = ""

    @property
    def where(self) -> Where | None:
        """The source line of the expression."""
        return self.expr.where

    def show(self, names: Mapping[Expr, str]) -> str:
        """Return the remark as a sentence, with the author's names for expressions."""
        shown = {k: v for k, v in names.items() if k != self.expr}
        place = "" if self.where is None else f" (line {self.where.line})"
        when = f" {self.when}" if self.when else ""
        return (
            f"its own run is not finite at step {self.step}{when}: "
            f"{self.reason} in {text(self.expr, shown)}{place}"
        )


@attrs.frozen
class Remarks:
    """What is known of a rule's own runs.

    Args:
        always: why none of them is finite, if so. sometimes: in which cases they are not.
    """

    always: Remark | None = None
    sometimes: tuple[Remark, ...] = ()


def may_stop(update: Expr) -> bool:
    """Return whether a rule has a part that may have no value; if not, its runs are finite.

    Nothing is run: a part with a value for every argument is known by its facts.
    """
    parts = walk(update)
    inner = (x.definition for x in parts if isinstance(x, NormOperation))
    return any(map(_partial, parts)) or any(map(may_stop, inner))


def _partial(expr: Expr) -> bool:
    """Return whether an operation has no value for some arguments that it may have."""
    match expr:
        case Pow(base=base, exponent=p):
            return not (base.facts.low > 0 or p.facts.low >= 0)
        case Apply(function=f, arg=x):
            return f == LOG and not x.facts.low > 0
        case _:
            return False
