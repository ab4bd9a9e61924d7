"""What a mutant of the checker is, and expressions that several are noticed in."""

from __future__ import annotations

import attrs
from falsify import Falsifier, laws
from faults import Fault
from grammar.core import BETA, LR

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance.groups import Group
from normdsl.expressions.expr import Expr

NO = "unknown"


@attrs.frozen(eq=False)
class Mutant:
    """A fault, and where a falsifier notices it."""

    name: str
    fault: Fault
    expr: Expr
    group: Group
    falsifier: Falsifier = laws


GRAM, UNDER = G @ G.T, G.T @ G
ONES = nd.zeros_like(G) + 1
ROWS = nd.sum(G, over="cols")
THIN = G @ nd.top_singular(G.T, 2)
PICK = nd.selection(nd.sum(nd.abs(G), over="cols"), 2)
NOISE = nd.normal_like(G)
STACK = nd.vec(G)
OUTER = STACK @ STACK.T


def step(x: Expr) -> Expr:
    return W - LR * x


def kept(x: Expr) -> Expr:
    """A state that gathers x, from zero."""
    return nd.fix(lambda s: BETA * s + x, nd.zeros_like(x))
