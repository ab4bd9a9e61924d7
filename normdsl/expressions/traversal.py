"""Walking through expressions, computing something for each part, and rewriting them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from normdsl.expressions.expr import Expr, assure
from normdsl.expressions.structure import rebuild
from normdsl.source import located

T = TypeVar("T")


def walk(root: Expr) -> list[Expr]:
    """Return every sub-expression once, children before parents, bodies of recursions included."""
    seen = {root.fingerprint}
    order: list[Expr] = []

    def below(expr: Expr) -> None:
        for child in expr.children:
            if child.fingerprint not in seen:
                seen.add(child.fingerprint)
                below(child)
        order.append(expr)

    below(root)
    return order


class Pass(ABC, Generic[T]):
    """Computes something for expressions, once for all that are equal.

    Args:
        known: what it is for some, whatever they are made of.
    """

    def __init__(self, known: Mapping[Any, T] | None = None) -> None:
        self._done: dict[bytes, T] = {x.fingerprint: y for x, y in (known or {}).items()}

    def __call__(self, expr: Expr) -> T:
        """Return what is computed for an expression."""
        key = expr.fingerprint
        if key not in self._done:
            self._done[key] = self._visit(expr)
        return self._done[key]

    @abstractmethod
    def _visit(self, expr: Expr) -> T:
        """Compute it, by calls of this pass on the children."""


class Rewriter(Pass[Expr]):
    """Replaces expressions by others: a new one has the place in the source of the old one."""

    def __call__(self, expr: Expr) -> Expr:
        """Return what stands for an expression."""
        known = self._done.get(expr.fingerprint)
        if known is None:
            with located(expr.where):
                known = self._done[expr.fingerprint] = self._visit(expr)
        return known

    def _visit(self, expr: Expr) -> Expr:
        return self._rebuilt(expr)

    def _rebuilt(self, expr: Expr) -> Expr:
        """Return an expression with its parts rewritten."""
        rebuilt: Expr = rebuild(expr, Expr, self)
        return rebuilt


class Equivalent(Rewriter):
    """Replaces expressions by others of equal value, of which all is true that was known."""

    def __call__(self, expr: Expr) -> Expr:
        """Return what stands for an expression, and what is known of it."""
        return assure(super().__call__(expr), expr.facts)


def replace(root: Expr, table: Mapping[Any, Expr]) -> Expr:
    """Return `root` with every occurrence of a key of `table` replaced by its value."""
    return Rewriter(table)(root)
