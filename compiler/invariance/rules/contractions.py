"""Typing rules of contractions, reductions and the operations of norms."""

from __future__ import annotations

import attrs

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.coefficients import tidy
from normdsl.compiler.invariance.conditions import NONE
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.judgement import Reason
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, ZERO, Index, Law, words
from normdsl.compiler.invariance.rules.base import Laws, Outcome, require_still, rule, within
from normdsl.expressions import nodes
from normdsl.expressions.matrix_classes import GENERAL, PERMUTATION, TRIVIAL, Isometries
from normdsl.norms.base import Dual, Lmo, NormOperation, Sharp, Value
from normdsl.norms.iterated import Iterated


@rule.register
def _inner(node: nodes.Inner, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    unit = None if x.unit is None or y.unit is None else tidy(x.unit + y.unit)
    summed = ((x.rows, y.rows, node.over_rows), (x.cols, y.cols, node.over_cols))
    conditions = NONE.union(*(index_rules.contract(a, b) for a, b, over in summed if over))
    if node.whole:
        conditions |= index_rules.contract(x.entries, y.entries)
        return [Outcome(Law(unit=unit), "a full contraction", conditions)]
    if x.entries.cls.diagonal and y.entries.cls.diagonal:
        conditions |= index_rules.contract(x.entries, y.entries)
    else:
        plain = [index_rules.within(law.entries, TRIVIAL, "a sum over one axis")[1] for law in laws]
        conditions = conditions.union(*plain)
    rows, cols = (
        FIXED if over else index_rules.product(a, b, False, False) for a, b, over in summed
    )
    return [Outcome(Law(rows, cols, FIXED, unit), "a contraction of one index", conditions)]


@rule.register
def _across(node: nodes.Across, laws: Laws, group: Group) -> list[Outcome]:
    """Type a sum or maximum over layers, each moved by an element of its own, with one unit."""
    if laws[0] == ANYTHING:
        return [Outcome(ANYTHING, "zero in every layer")]
    return [Outcome(laws[0], "layers have the same unit")]


@rule.register
def _block_mean(node: nodes.BlockMean, laws: Laws, group: Group) -> list[Outcome]:
    x, what = laws[0], "a mean over a block"
    if x == ANYTHING:
        return [Outcome(ANYTHING, f"{what} of zero")]
    allowed = Isometries(
        GENERAL if node.rows == 1 else TRIVIAL, GENERAL if node.cols == 1 else TRIVIAL, TRIVIAL
    )
    x, conditions = within(x, allowed, what)
    return [Outcome(x, f"{what} is linear", conditions)]


@rule.register
def _kth_largest(node: nodes.KthLargest, laws: Laws, group: Group) -> list[Outcome]:
    return _reduced(node, laws[0], f"the entry at place {node.k}", compares=True)


@rule.register
def _quantile(node: nodes.Quantile, laws: Laws, group: Group) -> list[Outcome]:
    require_still(laws[1:], "its share")
    return _reduced(node, laws[0], "a quantile", compares=True)


@rule.register
def _reduce(node: nodes.Reduce, laws: Laws, group: Group) -> list[Outcome]:
    what = f"a {node.reducer.value} over entries"
    return _reduced(node, laws[0], what, compares=node.reducer is nodes.Reducer.MAX)


def _reduced(
    node: nodes.Reduce | nodes.KthLargest | nodes.Quantile, x: Law, what: str, compares: bool
) -> list[Outcome]:
    """Type what entries along axes are reduced to, in whatever order they stand."""
    if x == ANYTHING:
        return [Outcome(ANYTHING, f"{what} of zero")]
    allowed = Isometries(
        PERMUTATION if node.over_rows else GENERAL,
        PERMUTATION if node.over_cols else GENERAL,
        PERMUTATION if node.over_rows and node.over_cols else TRIVIAL,
    )
    x, conditions = within(x, allowed, what)
    rows, cols = (FIXED if node.over_rows else x.rows), (FIXED if node.over_cols else x.cols)
    if compares:
        _require_unsigned(rows, cols)
    return [Outcome(Law(rows, cols, FIXED, x.unit), f"{what} ignores their order", conditions)]


def _require_unsigned(*kept: Index) -> None:
    for ix in kept:
        if ix is not ANY and (ix.cls.signed or not ix.cls.monomial):
            raise Refusal(f"it compares entries, but its argument is {words(ix)}")


@rule.register
def _iterated(node: Iterated, laws: Laws, group: Group) -> list[Outcome]:
    """Type an iterated LMO by the isometries its norms share: every step commutes with them."""
    require_still(laws[1:], "one of the norms")
    if laws[0] == ANYTHING:
        return [Outcome(ANYTHING, "the LMO at zero")]
    shared = [p.isometries for p in node.parts]
    x, conditions = laws[0], NONE
    for isometries in shared:
        assert isometries is not None, "the iteration knows norms with isometries of their own"
        x, more = within(x, isometries, "the iteration")
        conditions |= more
    return [Outcome(attrs.evolve(x, unit=ZERO), "all its norms are preserved by it", conditions)]


@rule.register
def _norm_operation(node: NormOperation, laws: Laws, group: Group) -> list[Outcome]:
    """Type an operation of a norm by the norm's isometries: the law must act within them."""
    x, isometries = laws[-1], node.norm.isometries
    assert isometries is not None, "norms without isometries are typed by their definition"
    assert not node.norm.varies, "norms that differ between runs are typed by their definition"
    if x == ANYTHING:
        return [Outcome(ANYTHING, "a norm operation on zero")]
    x, conditions = within(x, isometries, Reason("the norm {}", node.norm))
    claim = "the norm {} is preserved by it"
    match node:
        case Lmo():
            why = Reason(f"{claim}; an LMO has degree 0", node.norm)
            return [Outcome(attrs.evolve(x, unit=ZERO), why, conditions)]
        case Sharp():
            return [Outcome(x, Reason(f"{claim}; sharp has degree 1", node.norm), conditions)]
        case Dual() | Value():
            return [Outcome(Law(unit=x.unit), Reason(claim, node.norm), conditions)]
        case _:
            raise TypeError(f"no typing rule for the norm operation {type(node).__name__}")
