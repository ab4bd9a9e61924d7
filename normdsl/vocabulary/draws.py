"""Random draws, new ones at every step."""

from __future__ import annotations

from typing import Any

from normdsl.errors import DeclarationError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import Shape


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
