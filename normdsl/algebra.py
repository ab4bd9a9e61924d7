"""Rebuilding a graph through the folding constructors, after symbols were replaced by numbers."""

from __future__ import annotations

from fractions import Fraction

from normdsl import expr as e
from normdsl import nodes
from normdsl.expr import Constant, Expr, is_constant
from normdsl.norms.base import NormOperation
from normdsl.recursion import walk
from normdsl.source import located
from normdsl.structure import rebuild


def refold(root: Expr) -> Expr:
    """Return `root` with zeros, ones and arithmetic on numbers folded away, everywhere."""
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        with located(node.where):
            done[node] = _fold(rebuild(node, Expr, done.__getitem__))
    return done[root]


def _fold(node: Expr) -> Expr:
    match node:
        case e.Add(left=x, right=y):
            folded = e.add(x, y)
        case e.Mul(left=x, right=y):
            folded = e.mul(x, y)
        case e.Pow(base=x, exponent=p):
            folded = e.power(x, p)
        case _ if _vanishes(node):
            return Constant(Fraction(0), node.shape)
        case _:
            return node
    return node if folded == node else folded


def _vanishes(node: Expr) -> bool:
    """Return whether a node is zero because what it is linear, odd or homogeneous in is."""
    match node:
        case e.MatMul(left=x, right=y) | nodes.Inner(left=x, right=y):
            return is_constant(x, 0) or is_constant(y, 0)
        case nodes.Apply(function=f, arg=x):
            return is_constant(x, 0) and (f.odd or f == nodes.ABS)
        case (
            e.Transpose(arg=x)
            | nodes.Polar(arg=x)
            | nodes.Inverse(arg=x)
            | nodes.MatrixPower(arg=x)
            | nodes.Reduce(arg=x)
            | nodes.SchattenNorm(arg=x)
            | NormOperation(arg=x)
        ):
            return is_constant(x, 0)
        case _:
            return False
