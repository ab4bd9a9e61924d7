"""Whether the gradient moves the weights at all, or a rule stands still with values it is given."""

from __future__ import annotations

from functools import lru_cache

from normdsl.declarations.folding import Folding, fold
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Joint, Param, Query, Source, Stream, next_weights
from normdsl.expressions.nodes.arithmetic import Pow
from normdsl.expressions.nodes.constants import is_constant
from normdsl.expressions.recursion import After, Before, Recursion, State, release
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.streams import W
from normdsl.expressions.traversal import walk


@lru_cache(maxsize=1024)
def moves(declaration: Rule, values: frozenset[tuple[str, Expr]]) -> bool:
    """Return whether the gradient moves the weights where hyper-parameters have these values.

    It does not if the rule then has no value, because it divides by zero or by no norm at all; nor
    if the gradient is left to stretch a step whose direction it decides for other values.
    """
    table = {Param(n, declaration.hyperparameter(n).domain): value for n, value in values}
    try:
        update = fold(declaration.update, table)
    except NormdslError:
        return False
    if _divides_by_zero(declaration.update, update) or not update_moves(update):
        return False
    return _is_directed(update) or not _is_directed(declaration.update)


def update_moves(update: Expr) -> bool:
    """Return whether new weights depend on the gradient, also once weights have stood still.

    Suppose that they stand still. Then some states never leave their start; if with these the new
    weights are the old ones, what was supposed is what happens.
    """
    weights = next_weights(update)
    return any(map(_is_gradient, walk(weights))) and _at_rest(weights) != _still(weights)


def _still(weights: Expr) -> Expr:
    """Return new weights that are the old ones."""
    if not isinstance(weights, Joint):
        return W
    old = (Stream(Source.WEIGHTS, port, where=None) for port in weights.ports)
    return Joint(tuple(old), weights.ports, where=None)


def _is_gradient(expr: Expr) -> bool:
    return isinstance(expr, Query) or (isinstance(expr, Stream) and expr.source is Source.GRADIENT)


def _is_directed(update: Expr) -> bool:
    """Return whether the gradient decides more of a step than its length."""
    seen, stack = set(), [next_weights(update)]
    while stack:
        expr = stack.pop()
        if expr not in seen and expr.shape != SCALAR:
            seen.add(expr)
            stack += expr.children
    return any(map(_is_gradient, seen))


def _divides_by_zero(rule: Expr, update: Expr) -> bool:
    """Return whether an update has a power of zero that the rule it was folded from has not."""
    new = set(walk(update)).difference(walk(fold(rule, {})))
    powers = (x for x in new if isinstance(x, Pow) and is_constant(x.base, 0))
    return any(not x.exponent.facts.low > 0 for x in powers)


class _Resting(Folding):
    """Folds an expression in which some states are what they start from, at every step."""

    def _visit(self, expr: Expr) -> Expr:
        if isinstance(expr, After) and expr.recursion.forgetful(expr.index):
            return self(expr.recursion.bodies[expr.index])
        return super()._visit(expr)


def _at_rest(update: Expr) -> Expr:
    """Return the new weights with those states at rest that stay where W stays."""
    recursions = {x.recursion for x in walk(update) if isinstance(x, State)}
    resting = {(r, i) for r in recursions for i in range(len(r.inits))}
    while True:
        folding = _Resting({s: r.inits[i] for r, i in resting for s in _both(r, i)})
        kept = {(r, i) for r, i in resting if _stays(folding, r, i)}
        if kept == resting:
            return folding(update)
        resting = kept


def _both(recursion: Recursion, index: int) -> tuple[Expr, Expr]:
    return Before(recursion, index, where=None), After(recursion, index, where=None)


def _stays(folding: Folding, recursion: Recursion, index: int) -> bool:
    """Return whether a state is its start again, one step on from there."""
    body = release(recursion.bodies[index], recursion, Before)
    return folding(body) == recursion.inits[index]
