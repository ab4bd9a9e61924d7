"""What a typing rule is: from the laws of a node's arguments to its own, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import attrs

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.judgement import Reason
from normdsl.compiler.invariance.laws import ANYTHING, INVARIANT, ZERO, Law
from normdsl.compiler.invariance.unit_equations import equal
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.matrix_classes import Isometries


@attrs.frozen
class Outcome:
    """A law a rule proves, the conditions it needs, and the rule's name in the proof."""

    law: Law
    why: str | Reason
    conditions: Conditions = NONE


Laws = Sequence[Law]
#: Nodes whose rules say themselves what a shift of their arguments does.
SHIFTING = (
    n.Add
    | n.Mul
    | n.Transpose
    | nodes.Maximum
    | nodes.Query
    | nodes.Returned
    | nodes.Where
    | nodes.Joint
    | nodes.Vec
    | nodes.Unvec
    | nodes.WorkersMean
)


def outcomes(node: Expr, laws: Laws, group: Group) -> list[Outcome]:
    """Apply the rule of a node; only linear operations, choices and points take shifted arguments.

    Raises:
        Refusal: if nothing is proved.
    """
    if not group.shift or isinstance(node, SHIFTING):
        return rule(node, laws, group)
    still = [unshifted(law, "the operation") for law in laws]
    proved = rule(node, [law for law, _ in still], group)
    needed = NONE.union(*(c for _, c in still))
    return [attrs.evolve(o, conditions=o.conditions | needed) for o in proved]


def unshifted(law: Law, what: str) -> tuple[Law, Conditions]:
    """Require that a law has no shift, if need be under conditions."""
    conditions = equal(law.offset, ZERO)
    if conditions is None:
        raise Refusal(f"{what} does not commute with the shift by T that its argument carries")
    return attrs.evolve(law, offset=ZERO), conditions


@singledispatch
def rule(node: Expr, laws: Laws, group: Group) -> list[Outcome]:
    """Return what is proved of `node` when its arguments have `laws`.

    Raises:
        Refusal: if nothing is.
        TypeError: if the node has no rule.
    """
    raise TypeError(f"no typing rule for the node {type(node).__name__}")


def require_still(laws: Laws, what: str) -> None:
    """Require that quantities which decide what an operation is do not move."""
    moving = next((law for law in laws if law not in (INVARIANT, ANYTHING)), None)
    if moving is not None:
        raise Refusal(f"{what} is made with a quantity that moves: {moving}")


def within(x: Law, allowed: Isometries, what: object) -> tuple[Law, Conditions]:
    """Require that a law acts within given classes, if need be under conditions."""
    rows, one = index_rules.within(x.rows, allowed.rows, what)
    cols, two = index_rules.within(x.cols, allowed.cols, what)
    entries, three = index_rules.within(x.entries, allowed.entries, what)
    return Law(rows, cols, entries, x.unit), one | two | three
