"""What an expression is at the first step: states at their start, t = 1."""

from __future__ import annotations

from normdsl.algebra import Folding
from normdsl.expr import Expr, as_expr
from normdsl.graph import walk
from normdsl.nodes import Draw, Source, Stream
from normdsl.recursion import After, Before, Carry, release
from normdsl.streams import t

#: Streams that are the same in runs with other weights.
_STILL = (Source.STEP, Source.ROWS, Source.COLS)


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
    return not any(_moves(x) for x in walk(FirstStep()(expr)))


def _moves(x: Expr) -> bool:
    return isinstance(x, Carry | Draw) or (isinstance(x, Stream) and x.source not in _STILL)
