"""Rebuilding a graph through the folding constructors, after symbols were replaced by numbers."""

from __future__ import annotations

from normdsl import expr as e
from normdsl.expr import Expr
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
        case _:
            return node
    return node if folded == node else folded
