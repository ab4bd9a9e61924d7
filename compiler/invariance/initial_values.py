"""What an expression is at the first step: states at their start, t = 1."""

from __future__ import annotations

from normdsl.declarations.folding import Folding
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.origins import STILL
from normdsl.expressions.recursion import After, Before, release
from normdsl.expressions.streams import t


class FirstStep(Folding):
    """Replaces states by what they are at the first step, and folds; each shared part once."""

    def __init__(self) -> None:
        super().__init__({t: as_expr(1)})

    def _visit(self, expr: Expr) -> Expr:
        match expr:
            case Before():
                return self(expr.recursion.inits[expr.index])
            case After():
                return self(release(expr.recursion.bodies[expr.index], expr.recursion, Before))
            case _:
                return super()._visit(expr)


def starts_constant(expr: Expr) -> bool:
    """Return whether an expression reads, at the first step, nothing that moves with the weights.

    The state of an enclosing recursion, whose start is not known here, may do so.
    """
    return FirstStep()(expr).origins.within(STILL)
