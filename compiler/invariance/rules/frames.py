"""Typing rules of frames: orthonormal columns, leading singular vectors, selected rows, cosines."""

from __future__ import annotations

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.conditions import NONE, Assumption, Conditions, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.initial_values import starts_constant
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, INVARIANT, Index, Law, frame
from normdsl.compiler.invariance.rules.base import Laws, Outcome, require_still, rule, within
from normdsl.compiler.invariance.rules.matrices import SPECTRAL
from normdsl.compiler.invariance.stacking import acting
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.matrix_classes import (
    ORTHOGONAL,
    PERMUTATION,
    SIGNED_PERMUTATION,
    SIGNS,
    TRIVIAL,
    Isometries,
)


@rule.register
def _qr(node: nodes.Qr, laws: Laws, group: Group) -> list[Outcome]:
    """Type Q of X = Q R: from P X Dᵀ it is P Q, for a diagonal D > 0, and P Q U for any other D."""
    x, what = laws[0], "a QR decomposition"
    if x in (INVARIANT, ANYTHING):
        return [Outcome(INVARIANT, "a function of what does not move")]
    rows, one = index_rules.within(x.rows, ORTHOGONAL, what)
    _, two = index_rules.within(x.entries, TRIVIAL, what)
    _require_moving(node.arg, rows, "columns")
    rank = NONE if _almost_surely(node.arg) else frozenset({Assumption(Kind.FULL_RANK, node.arg)})
    law = Law(rows, _columns(node, x.cols))
    return [Outcome(law, "qr(P X) = P qr(X), P orthogonal", one | two | rank)]


def _almost_surely(arg: Expr) -> bool:
    """Return whether a matrix has full rank with probability one, as normal numbers have."""
    return isinstance(arg, nodes.Draw) and arg.distribution is nodes.Distribution.NORMAL


def _columns(node: nodes.Qr, of: Index) -> Index:
    """Return what acts on the columns of Q where `of` acts on those of X."""
    if of in (ANY, FIXED) or (of.cls.diagonal and of.cls.signed):
        return of
    return FIXED if of.cls.diagonal else frame(node, "frame")


@rule.register
def _top_singular(node: nodes.TopSingular, laws: Laws, group: Group) -> list[Outcome]:
    """Type U_r of X = U S Vᵀ: from P X Qᵀ it is P U_r up to signs."""
    x, *rest = laws
    require_still(rest, "the rank")
    if x in (INVARIANT, ANYTHING):
        return [Outcome(INVARIANT, "a function of what does not move")]
    x, conditions = within(x, SPECTRAL, "a basis of singular vectors")
    separated: Conditions = frozenset({Assumption(Kind.SEPARATED, node.arg)})
    if x.rows == FIXED:
        why = "rotated columns and multiples have the same left singular vectors"
        return [Outcome(INVARIANT, why, conditions | separated)]
    _require_moving(node.arg, x.rows, "singular vectors")
    why = "left singular vectors turn with P, up to sign"
    signs = frame(node, "signs", SIGNS)
    return [Outcome(Law(x.rows, signs), why, conditions | separated)]


@rule.register
def _selection(node: nodes.Selection, laws: Laws, group: Group) -> list[Outcome]:
    """Type the identity's columns at the largest scores: from P s they are P E, P a permutation."""
    x, *rest = laws
    require_still(rest, "the rank")
    if x in (INVARIANT, ANYTHING):
        return [Outcome(INVARIANT, "a function of what does not move")]
    allowed = Isometries(PERMUTATION, TRIVIAL, TRIVIAL)
    x, conditions = within(x, allowed, "an order of scores")
    if x.rows == FIXED:
        return [Outcome(INVARIANT, "multiples have the same order", conditions)]
    _require_moving(node.arg, x.rows, "largest entries")
    conditions |= {Assumption(Kind.UNTIED, node.arg)}
    found = [Outcome(Law(x.rows), "rows are selected wherever they stand", conditions)]
    whole = acting(group.weights, node.shape.rows)
    if whole.cls is SIGNED_PERMUTATION and whole.element == x.rows.element:
        why = "the signs of selected rows are those of as many columns"
        found.append(Outcome(Law(whole, frame(node, "signs", SIGNS)), why, conditions))
    return found


@rule.register
def _dct(node: nodes.Dct, laws: Laws, group: Group) -> list[Outcome]:
    return [Outcome(INVARIANT, "a constant matrix does not move")]


def _require_moving(arg: Expr, rows: Index, what: str) -> None:
    """Refuse a constant first argument, which has the same frame wherever the weights are."""
    if rows != FIXED and starts_constant(arg):
        raise Refusal(f"its argument starts as a constant, whose {what} do not move")
