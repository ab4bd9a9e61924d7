"""Typing rules of queries and results: what is asked, or returned, at points that move like W."""

from __future__ import annotations

import attrs

from normdsl.compiler.invariance.agreement import alike
from normdsl.compiler.invariance.conditions import Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import ANYTHING, FIXED, ZERO, Law, moved
from normdsl.compiler.invariance.rules.base import Laws, Outcome, rule
from normdsl.compiler.invariance.stacking import stacked
from normdsl.expressions import nodes
from normdsl.expressions.nodes import Asked, Source


@rule.register
def _query(node: nodes.Query, laws: Laws, group: Group) -> list[Outcome]:
    """Type what is asked at P: where P = ρ(g) P̃, f(P) = c f̃(P̃), so ∇f(P) moves as G does."""
    if group.each_step:
        if node.asked not in (Asked.LOSS, Asked.GRADIENT):
            raise Refusal("the loss goes through a function of an unknown curvature")
        raise Refusal("at another point the loss goes through an unknown function of another slope")
    conditions = _at(laws[0], group)
    if node.asked is Asked.LOSS:
        return [Outcome(_stream(group, Source.LOSS), "the loss where W would be", conditions)]
    gradient = _stream(group, Source.GRADIENT)
    if node.asked is Asked.GRADIENT:
        return [Outcome(gradient, "the gradient where W would be", conditions)]
    if node.asked is Asked.HESSIAN:
        index = stacked(gradient.rows, gradient.cols) if group.weights.entries == FIXED else None
        index = gradient.entries if index in (None, FIXED) else index
        unit = None if gradient.unit is None else gradient.unit - group.weight_unit
        law = Law(index, index, unit=unit)
        return [Outcome(law, "H takes what moves like vec(W) to vec(G)", conditions)]
    along = laws[1]
    if along == ANYTHING:
        return [Outcome(ANYTHING, "a product with zero", conditions)]
    step = attrs.evolve(group.weights, offset=ZERO, unit=along.unit)
    conditions |= _like(along, step, "the direction")
    assert gradient.unit is not None
    unit = None if along.unit is None else gradient.unit + along.unit - group.weight_unit
    law = attrs.evolve(gradient, unit=unit)
    matrix = "H" if node.asked is Asked.HESSIAN_PRODUCT else "Jᵀ Q J"
    return [Outcome(law, f"{matrix} takes what moves like W to what moves like G", conditions)]


@rule.register
def _returned(node: nodes.Returned, laws: Laws, group: Group) -> list[Outcome]:
    """Type the new weights, if the point beside them moves like W."""
    conditions = _like(laws[1], group.weights, "the point to evaluate")
    return [Outcome(laws[0], "the new weights, and beside them a point like W", conditions)]


@rule.register
def _joint(node: nodes.Joint, laws: Laws, group: Group) -> list[Outcome]:
    """Type the new weights of several parameters, if each of them moves as its weights do."""
    conditions: Conditions = frozenset()
    for port, law in zip(node.ports, laws, strict=True):
        wanted = group.of(nodes.Stream(Source.WEIGHTS, port, where=None))
        assert wanted is not None, "what has no law is refused where it is read"
        conditions |= _like(law, wanted, f"the new {port.name}", port.name)
    return [Outcome(group.weights, "each parameter moves as its weights do", conditions)]


def _at(point: Law, group: Group) -> Conditions:
    return _like(point, group.weights, "the point")


def _like(found: Law, wanted: Law, what: str, weights: str = "W") -> Conditions:
    conditions = alike(found, wanted)
    if conditions is None:
        raise Refusal(f"{what} is {moved(found)}, and {weights} is {moved(wanted)}")
    return conditions


def _stream(group: Group, source: Source) -> Law:
    law = group.law(source)
    assert law is not None, "losses that change at every step are refused before"
    return law
