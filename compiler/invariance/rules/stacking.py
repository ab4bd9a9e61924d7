"""Typing rules of stacking: the entries of a matrix in one column, and back."""

from __future__ import annotations

import attrs

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, Law, moved, words
from normdsl.compiler.invariance.rules.base import Laws, Outcome, rule
from normdsl.compiler.invariance.stacking import stacked, unstacked
from normdsl.expressions import nodes


@rule.register
def _vec(node: nodes.Vec, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "the entries of zero")]
    if ANY in (x.rows, x.cols, x.entries):
        return [Outcome(Law(ANY, unit=x.unit, offset=x.offset), "entries of what is not known yet")]
    if x.rows == x.cols == FIXED:
        law = Law(x.entries, unit=x.unit, offset=x.offset)
        return [Outcome(law, "entries stay what they are in one column")]
    found = stacked(x.rows, x.cols) if x.entries == FIXED else None
    if found is None:
        raise Refusal(f"its argument is {moved(x)}, of which entries in one column have no law")
    law = Law(found, unit=x.unit, offset=x.offset)
    return [Outcome(law, "vec(P x Qᵀ) = (P ⊗ Q) vec(x)")]


@rule.register
def _unvec(node: nodes.Unvec, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "a matrix of zeros")]
    if x.rows is ANY:
        return [Outcome(attrs.evolve(x, cols=ANY, entries=ANY), "entries of what is not known yet")]
    sides = unstacked(x.rows)
    if sides is not None:
        law = Law(*sides, unit=x.unit, offset=x.offset)
        return [Outcome(law, "unvec((P ⊗ Q) v) = P unvec(v) Qᵀ")]
    if x.rows.element != group.weights.entries.element:
        raise Refusal(f"its argument is {words(x.rows)}, which moves no entries of a matrix")
    law = Law(entries=x.rows, unit=x.unit, offset=x.offset)
    return [Outcome(law, "entries stay what they are in a matrix")]
