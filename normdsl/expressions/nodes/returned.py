"""What a rule returns: next weights with a point beside them, or those of several parameters."""

from __future__ import annotations

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Entrywise, Expr
from normdsl.expressions.ports import Port
from normdsl.expressions.shapes import MATRIX, Shape
from normdsl.show.notation import Notation, Piece


@attrs.frozen(eq=False, repr=False)
class Returned(Entrywise):
    """The next weights, and beside them a point that moves like W; the whole of a rule's result.

    Args:
        weights: the next weights. evaluate: the state that holds the point after the step.
    """

    jumps_with = ()

    weights: Expr
    evaluate: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The next weights."""
        return (self.weights,)

    def _infer_shape(self) -> Shape:
        for x, what in ((self.weights, "the next weights"), (self.evaluate, "the point")):
            if x.shape != MATRIX or isinstance(x, Returned):
                raise DeclarationError(
                    "return a point to evaluate",
                    at=x,
                    why=f"{what} must be an m×n expression, and this is {x.shape.phrase}"
                    if x.shape != MATRIX
                    else f"{what} already has a point beside it",
                    hint="write return nd.step(W_next, evaluate=x) once, at the end",
                )
        return MATRIX

    def _notate(self, n: Notation) -> Piece:
        return n(self.weights)


@attrs.frozen(eq=False, repr=False)
class Joint(Entrywise):
    """The next weights of each parameter of a rule over several; the whole of its result.

    Args:
        weights: the next weights, in the order of the ports. ports: the parameters.
    """

    zero_with = ()
    jumps_with = ()

    weights: tuple[Expr, ...]
    ports: tuple[Port, ...]

    def _infer_shape(self) -> Shape:
        for x, port in zip(self.weights, self.ports, strict=True):
            if x.shape != port.shape or isinstance(x, Returned | Joint):
                raise DeclarationError(
                    f"return the next weights of {port.name}",
                    at=x,
                    why=f"{port.name} is {port.shape.phrase}, and this is {x.shape.phrase}"
                    if x.shape != port.shape
                    else "a rule over several parameters has no points beside them",
                    hint="return "
                    + ", ".join(f"{p.name}.W - lr * …" for p in self.ports)
                    + ", one for each parameter, in the order of the arguments",
                )
        return self.ports[0].shape

    def _notate(self, n: Notation) -> Piece:
        return n.call("", *self.weights)


def next_weights(update: Expr) -> Expr:
    """Return the next weights of what a rule returns."""
    return update.weights if isinstance(update, Returned) else update
