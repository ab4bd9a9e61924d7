"""Replacing symbols by numbers, and folding away what becomes zero, one or a number."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr, assure, simplest
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.traversal import Rewriter
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
