"""Random draws, new ones at every step."""

from __future__ import annotations

from typing import Any

from normdsl.errors import DeclarationError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.near import did_you_mean


def normal_like(x: Any, key: int = 0) -> Expr:
    """Return independent standard normal numbers in the shape of x, new ones at every step.

    Draws of one shape with the same `key` are one and the same; give each its own. They are
    functions of the optimizer's `seed`, the parameter, the step and the entry.

    Example:
        >>> import normdsl as nd
        >>> noise = nd.normal_like(nd.G)
        >>> noise == nd.normal_like(nd.W), noise == nd.normal_like(nd.G, key=1)
        (True, False)
    """
    return drawn(nodes.Distribution.NORMAL, as_expr(x).shape, key)


def signs_like(x: Any, key: int = 0) -> Expr:
    """Return random signs ±1 (Rademacher) in the shape of x, new ones at every step.

    Draws of one shape with the same `key` are one and the same; give each its own. They are
    functions of the optimizer's `seed`, the parameter, the step and the entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.signs_like(nd.G) * nd.G)
        ζ ∘ G
    """
    return drawn(nodes.Distribution.SIGNS, as_expr(x).shape, key)


def uniform_like(x: Any, key: int = 0) -> Expr:
    """Return independent numbers between 0 and 1 in the shape of x, new ones at every step.

    Draws of one shape with the same `key` are one and the same; give each its own.

    Example:
        >>> import normdsl as nd
        >>> print(nd.where(nd.uniform_like(nd.G) < 0.1, nd.G, 0))  # a tenth of the entries
        where(u < 1/10, G, 0)
    """
    return drawn(nodes.Distribution.UNIFORM, as_expr(x).shape, key)


def uniform(*, over: str | None = None, key: int = 0) -> Expr:
    """Return a random number between 0 and 1 for each layer, or one for all of them, at each step.

    Over layers it is Σ u_l mod 1, with one u_l of each: uniform again, one number for the model,
    and for all rules of an optimizer that draw with the same key.

    Args:
        over: None, or "layers" for one number that they share. key: tells draws apart.

    Raises:
        DeclarationError: for any other `over`.

    Example:
        >>> import normdsl as nd
        >>> nd.uniform().shape == nd.uniform(over="layers").shape == nd.t.shape
        True
    """
    each = drawn(nodes.Distribution.UNIFORM, SCALAR, key)
    if over is None:
        return each
    if over != "layers":
        raise DeclarationError(
            f"draw a number over {over!r}",
            why="a draw is one for each layer, or one for all of them",
            hint=did_you_mean(over, ("layers",), "the choice is"),
        )
    return nodes.Remainder(nodes.Across(nodes.Reducer.SUM, each), as_expr(1))


def drawn(distribution: nodes.Distribution, shape: Shape, key: int) -> Expr:
    """Return random numbers in an array of a shape; a key tells draws apart.

    Raises:
        DeclarationError: for anything but a whole number ≥ 0 as a key.
    """
    if type(key) is not int or key < 0:
        raise DeclarationError(
            f"draw with the key {key!r}",
            why="a key is a whole number ≥ 0 that tells draws apart",
            hint="use key=0, key=1, …",
        )
    return nodes.Draw(distribution, shape, key)
