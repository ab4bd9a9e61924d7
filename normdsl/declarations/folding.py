"""Replacing symbols by numbers, and folding away what becomes zero, one or a number."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr, assure, simplest
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import Constant, as_expr, is_constant
from normdsl.expressions.traversal import Rewriter, walk
from normdsl.norms.base import NormOperation


def fold(root: Expr, table: Mapping[Any, Expr]) -> Expr:
    """Return `root` with symbols replaced, and what became zero, one or a number folded away."""
    return Folding(table)(root)


class Folding(Rewriter):
    """Replaces symbols in many expressions, folding each shared part once."""

    def _visit(self, expr: Expr) -> Expr:
        node = self._rebuilt(expr)
        return assure(_fold(node), node.facts)

    def _rebuilt(self, expr: Expr) -> Expr:
        """Return a node with folded parts, or its definition if its norm stopped being one.

        With a weight that became zero it is not a norm, but the pseudo-inverses in the definition
        still have values there: those that the rule computes.
        """
        try:
            return super()._rebuilt(expr)
        except NormdslError:
            if not isinstance(expr, NormOperation):
                raise
            return self(expr.definition)


def _fold(node: Expr) -> Expr:
    for argument in node.zero_with:
        if is_constant(argument, 0):
            return Constant(Fraction(0), node.shape)
    return simplest(node)


class Zeroed:
    """Expressions with one hyper-parameter at zero, found once however often they are asked for."""

    def __init__(self) -> None:
        self._foldings: dict[Param, Folding] = {}
        self._params: dict[bytes, list[Param]] = {}
        self._smaller: dict[tuple[bytes, Param], Expr | None] = {}

    def at(self, param: Param) -> Folding:
        """Return the folding of a hyper-parameter that is zero."""
        if param not in self._foldings:
            self._foldings[param] = Folding({param: as_expr(0)})
        return self._foldings[param]

    def params(self, expr: Expr) -> list[Param]:
        """Return the hyper-parameters in an expression."""
        if expr.fingerprint not in self._params:
            found = [x for x in walk(expr) if isinstance(x, Param)]
            self._params[expr.fingerprint] = found
        return self._params[expr.fingerprint]

    def smaller(self, expr: Expr, param: Param) -> Expr | None:
        """Return what is left of an expression if that has fewer parts, otherwise None.

        Nor is anything left of what has no value there: a norm divided by zero, say.
        """
        key = (expr.fingerprint, param)
        if key not in self._smaller:
            try:
                left = self.at(param)(expr)
                self._smaller[key] = left if len(walk(left)) < len(walk(expr)) else None
            except NormdslError:
                self._smaller[key] = None
        return self._smaller[key]
