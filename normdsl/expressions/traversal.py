"""Walking through expressions, and replacing parts of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.structure import rebuild


def walk(root: Expr) -> list[Expr]:
    """Return every sub-expression once, children before parents, bodies of recursions included."""
    seen: set[Expr] = set()
    order: list[Expr] = []
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        expr, ready = stack.pop()
        if ready:
            order.append(expr)
        elif expr not in seen:
            seen.add(expr)
            stack.append((expr, True))
            stack.extend((child, False) for child in reversed(expr.children))
    return order


def replace(root: Expr, table: Mapping[Any, Expr]) -> Expr:
    """Return `root` with every occurrence of a key of `table` replaced by its value."""
    done: dict[Expr, Expr] = {}
    for expr in walk(root):
        done[expr] = table[expr] if expr in table else rebuild(expr, Expr, done.__getitem__)
    return done[root]
