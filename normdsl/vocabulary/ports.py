"""Ports: rules over several parameters, one argument for each, annotated with its axes."""

from __future__ import annotations

from typing import Any

import attrs

from normdsl.errors import DeclarationError, kind, shown
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Extent, Source, Stream
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.ports import Axis, Port
from normdsl.expressions.shapes import Dim, Length, Space

_HOW = 'write nd.Matrix("r", "n"), with a letter for each axis, or 1 for one that is not there'


@attrs.frozen
class Matrix:
    """A parameter of a rule over several, as the annotation of an argument: A: nd.Matrix("r", "n").

    Axes that have a letter in common belong to one space of vectors. Rows are vectors there and
    columns linear forms, as those of maps y = A x are; an asterisk changes one into the other:
    queries "r"×"d" and keys "r*"×"d" are multiplied with each other, qᵀ k. That is how
    `nd.groups.gauge` moves them: a vector by M, a form by M⁻ᵀ.

    In the rule, A.W are the weights, A.G is the gradient, A.rows and A.cols are their lengths; it
    returns the next weights of all its parameters, in order.

    Type checkers know no calls in annotations: Annotated[Any, nd.Matrix("r", "n")] says the same.

    Args:
        rows: the letter of the first axis, or 1. cols: of the second.

    Raises:
        DeclarationError: for what is no letter, or 1.

    Example:
        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def balanced(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
        ...     down = nd.inverse(B.W.T @ B.W) @ A.G
        ...     up = B.G @ nd.inverse(A.W @ A.W.T)
        ...     return A.W - lr * down, B.W - lr * up
        >>> balanced.check("gauge").answer
        'invariant if A Aᵀ and Bᵀ B have full rank (only for r ≤ m, r ≤ n)'
    """

    rows: str | int
    cols: str | int = 1

    def __attrs_post_init__(self) -> None:
        self.port("")

    def port(self, name: str) -> Port:
        """Return the parameter that an argument of this kind stands for."""
        return Port(name, _axis(self.rows, dual=False), _axis(self.cols, dual=True))


def _axis(letter: Any, dual: bool) -> Axis:
    if letter == 1 and not isinstance(letter, bool):
        return Axis(Dim.ONE)
    name = letter.removesuffix("*") if isinstance(letter, str) else ""
    if not name.isidentifier():
        raise DeclarationError(
            f"declare a parameter with an axis {shown(letter)}",
            why=f"{kind(letter)} is no name of a space",
            hint=_HOW,
        )
    return Axis(Space(name), dual is not letter.endswith("*"))


@attrs.frozen
class Parameter:
    """A parameter inside a rule over several: its streams and its lengths.

    Args:
        port: which it is.
    """

    port: Port

    @property
    def W(self) -> Expr:
        """Its weights before the step."""
        return Stream(Source.WEIGHTS, self.port)

    @property
    def G(self) -> Expr:
        """The gradient of the loss at its weights."""
        return Stream(Source.GRADIENT, self.port)

    @property
    def rows(self) -> Expr:
        """How many rows it has."""
        return extent(self.port.rows.length)

    @property
    def cols(self) -> Expr:
        """How many columns it has."""
        return extent(self.port.cols.length)

    def __getattr__(self, name: str) -> Any:
        raise DeclarationError(
            f"read {self.port.name}.{name}",
            why=f"{self.port.name} is a parameter of the rule, which has W, G, rows and cols",
            hint=f"{self.port.name}.W are its weights, {self.port.name}.G is its gradient",
        )


def extent(length: Length) -> Expr:
    """Return the length of an axis of a parameter as a scalar."""
    return Extent(length) if isinstance(length, Space) else as_expr(1)


def matrix_of(annotation: Any) -> Matrix | None:
    """Return the matrix that an annotation says a parameter is; None if it says none."""
    stated = (annotation, *getattr(annotation, "__metadata__", ()))
    return next((x for x in stated if isinstance(x, Matrix)), None)
