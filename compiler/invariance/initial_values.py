"""What an expression is at the first step: states at their start, t = 1."""

from __future__ import annotations

from normdsl.declarations.folding import Folding
from normdsl.expressions.expr import Expr, as_expr
from normdsl.expressions.origins import STILL
from normdsl.expressions.recursion import After, Before, release
from normdsl.expressions.streams import t


class FirstStep(Folding):
    """Replaces states by what they are at the first step, and folds; each shared part once."""

    def __init__(self) -> None:
        super().__init__({t: as_expr(1)})

    def __call__(self, expr: Expr) -> Expr:
        """Return the value of `expr` at the first step, in terms of that step's streams."""
        if expr not in self._done and isinstance(expr, Before):
            self._done[expr] = self(expr.recursion.inits[expr.index])
        elif expr not in self._done and isinstance(expr, After):
            body = expr.recursion.bodies[expr.index]
            self._done[expr] = self(release(body, expr.recursion, Before))
        return super().__call__(expr)


def starts_constant(expr: Expr) -> bool:
    """Return whether an expression reads, at the first step, nothing that moves with the weights.

    The state of an enclosing recursion, whose start is not known here, may do so.
    """
    return FirstStep()(expr).origins.within(STILL)
