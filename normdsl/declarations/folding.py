"""Replacing symbols by numbers, and folding away what becomes zero, one or a number."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from normdsl.errors import NormdslError
from normdsl.expressions import expr as e
from normdsl.expressions import nodes
from normdsl.expressions.expr import Constant, Expr, assure, is_constant
from normdsl.expressions.structure import rebuild
from normdsl.norms.base import NormOperation
from normdsl.source import located


def fold(root: Expr, table: Mapping[Any, Expr]) -> Expr:
    """Return `root` with symbols replaced, and what became zero, one or a number folded away."""
    return Folding(table)(root)


class Folding:
    """Replaces symbols in many expressions, folding each shared part once."""

    def __init__(self, table: Mapping[Any, Expr]) -> None:
        self._done: dict[Expr, Expr] = dict(table)

    def __call__(self, expr: Expr) -> Expr:
        """Return `expr` with the symbols replaced and folded."""
        known = self._done.get(expr)
        if known is None:
            with located(expr.where):
                node = self._with_parts(expr)
                known = self._done[expr] = assure(_fold(node), node.facts)
        return known

    def _with_parts(self, expr: Expr) -> Expr:
        """Return a node with folded parts; of what is no norm any more, what its definition says.

        A weight that becomes zero is one of no norm, but the pseudo-inverses of the definition
        still have values there: those that the rule computes.
        """
        try:
            node: Expr = rebuild(expr, Expr, self)
        except NormdslError:
            if not isinstance(expr, NormOperation):
                raise
            node = self(expr.definition)
        return node


def _fold(node: Expr) -> Expr:
    match node:
        case e.Add(left=x, right=y) if e.negated(x) == y or e.negated(y) == x:
            return Constant(Fraction(0), node.shape)
        case e.Add(left=x, right=y):
            folded = e.add(x, y)
        case nodes.Maximum(left=Constant(value=a), right=Constant(value=b)):
            return Constant(max(a, b), node.shape)
        case e.Mul(left=x, right=y):
            folded = e.mul(x, y)
        case e.Pow(base=x, exponent=p):
            folded = e.power(x, p)
        case e.Transpose(arg=x):
            folded = e.transpose(x)
        case nodes.MatrixPower(arg=x, exponent=p) if is_constant(p, 1):
            return x
        case nodes.MatrixPower(arg=x, exponent=p) if is_constant(p, 0):
            return nodes.Eye(x.shape.rows)
        case e.MatMul(left=x, right=y) if x.is_identity or y.is_identity:
            return e.matmul(x, y)
        case _ if any(is_constant(x, 0) for x in node.zero_with):
            return Constant(Fraction(0), node.shape)
        case _:
            return node
    return node if folded == node else folded
