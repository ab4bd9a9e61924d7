"""Typing rules of leaves: constants, hyper-parameters, streams, draws, identities."""

from __future__ import annotations

import sympy

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import ANYTHING, FIXED, INVARIANT, Law
from normdsl.compiler.invariance.rules.base import Laws, Outcome, rule
from normdsl.compiler.invariance.stacking import acting
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.matrix_classes import ORTHOGONAL, PERMUTATION, SIGNED_PERMUTATION
from normdsl.expressions.shapes import MATRIX, SCALAR


@rule.register
def _constant(node: n.Constant, laws: Laws, group: Group) -> list[Outcome]:
    if node.value == 0:
        return [Outcome(ANYTHING, "zero moves by every law")]
    if node.shape == SCALAR:
        return [Outcome(INVARIANT, "a number has no unit")]
    found = [Outcome(INVARIANT, "a constant array does not move")]
    if any(a.cls <= SIGNED_PERMUTATION for a in group.actions):
        w = group.weights
        rows, cols, entries = (
            index_rules.unsigned(ix) if ix.cls <= SIGNED_PERMUTATION else FIXED
            for ix in (acting(w, node.shape.rows), acting(w, node.shape.cols), w.entries)
        )
        found.append(Outcome(Law(rows, cols, entries), "equal entries survive permutation"))
    return found


@rule.register
def _param(node: nodes.Param, laws: Laws, group: Group) -> list[Outcome]:
    if not node.domain.loss_unit or not group.loss_unit or group.each_step:
        return [Outcome(INVARIANT, "a hyper-parameter has no unit")]
    same: Conditions = frozenset({Assumption(Kind.SAME, node)})
    along: Conditions = frozenset({Assumption(Kind.FLOOR, node)})
    moves = Law(unit=sympy.Integer(group.loss_unit))
    return [
        Outcome(INVARIANT, "the same value in both runs", same),
        Outcome(moves, "a value of the loss has its unit", along),
    ]


#: The matrices that keep the distribution of rows or columns, and of entries one by one.
_KEEPING = {
    nodes.Distribution.NORMAL: (ORTHOGONAL, SIGNED_PERMUTATION),
    nodes.Distribution.SIGNS: (SIGNED_PERMUTATION, SIGNED_PERMUTATION),
    nodes.Distribution.UNIFORM: (PERMUTATION, PERMUTATION),
}


@rule.register
def _draw(node: nodes.Draw, laws: Laws, group: Group) -> list[Outcome]:
    """Type random numbers: the same in both runs, or moved where their distribution allows it."""
    w = group.weights
    rows, cols = acting(w, node.shape.rows), acting(w, node.shape.cols)
    entries = w.entries if node.shape == MATRIX else FIXED
    if rows == cols == entries == FIXED:
        return [Outcome(INVARIANT, "the same draw in both runs")]
    same: Conditions = frozenset({Assumption(Kind.SAME, node)})
    moved: Conditions = frozenset({Assumption(Kind.MOVED_DRAW, node)})
    found = [Outcome(INVARIANT, "the same draw in both runs", same)]
    largest, single = _KEEPING[node.distribution]
    if rows.cls <= largest and cols.cls <= largest and entries.cls <= single:
        found.append(Outcome(Law(rows, cols, entries), "its distribution does not move", moved))
    return found


@rule.register
def _stream(node: nodes.Stream, laws: Laws, group: Group) -> list[Outcome]:
    law = group.law(node.source)
    if law is None:
        raise Refusal(f"the {node.source.value} goes through an unknown function at every step")
    return [Outcome(law, f"how {node.source.value} moves in this group")]


@rule.register
def _eye(node: nodes.Eye, laws: Laws, group: Group) -> list[Outcome]:
    moving = acting(group.weights, node.dim)
    found = [Outcome(INVARIANT, "the identity does not move")]
    if moving != FIXED:
        pairs = {(moving, moving.dual), (moving.dual, moving)}
        found += [Outcome(Law(p, q), "P I P⁻¹ = I") for p, q in sorted(pairs, key=str)]
    return found
