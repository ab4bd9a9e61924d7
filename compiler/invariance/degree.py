"""The degree of a step: by which power of c it is multiplied when the loss is multiplied by c."""

from __future__ import annotations

from collections.abc import Set

import attrs
import sympy

from normdsl.compiler.invariance.conditions import SILENT, Assumption, Conditions, show
from normdsl.compiler.invariance.groups import loss_scale
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.laws import ANYTHING
from normdsl.compiler.invariance.prove import idle_parameters, settled_starts
from normdsl.declarations.folding import fold
from normdsl.declarations.rule import Rule
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import After, Before, State
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.streams import W
from normdsl.expressions.traversal import replace, walk
from normdsl.vocabulary.averages import zeros_like


@attrs.frozen
class Degree:
    """The degree of a rule's step in the loss.

    Args:
        declaration: the rule. exponent: d, with step(c f) = c^d step(f). conditions: what that
            needs. gradient_only: whether the step reads gradients alone, neither W nor values of
            the loss.
    """

    declaration: Rule
    exponent: sympy.Expr
    conditions: Conditions
    gradient_only: bool

    def __str__(self) -> str:
        return f"degree {self.exponent}" + (f" if {self.needs}" if self.needs else "")

    @property
    def needs(self) -> str:
        """Its conditions as a phrase; empty if there are none."""
        return show(self.conditions, self.declaration.labels) if self.conditions else ""


#: Why no rule without the loss is invariant under both; two changes of units it cannot tell apart.
INCOMPATIBLE = (
    "A step made of gradients alone is invariant under scale, affine or uniform scale only with "
    "degree -1, and under loss scale only with degree 0, so it cannot have both; a Polyak step in "
    "the same norm has both."
)


def degree(declaration: Rule) -> Degree | None:
    """Return the degree of a rule's step, its terms c W left out; None if it has none.

    Nor has a rule over several parameters one.
    """
    if declaration.ports:
        return None  # each parameter has one of its own
    step = _from_zero(_step(declaration.weights))
    inference = Inference(loss_scale, idle_parameters(declaration), zeroed=declaration.zeroed)
    try:
        found = min(inference.judge(step), key=lambda j: len(j.conditions))
    except Failure:
        return None
    if found.law == ANYTHING or found.law.unit is None or found.law.unit.has(sympy.Dummy):
        return None
    update = declaration.weights
    only = not update.origins & (Origin.LOSS | Origin.LOSS_UNIT) and _linear_in_weights(update)
    silent = {c for c in found.conditions if isinstance(c, Assumption) and c.kind in SILENT}
    return Degree(declaration, found.law.unit, settled_starts(found.conditions - silent), only)


def _step(update: Expr) -> Expr:
    """Return the new weights without the summands c W."""
    match update:
        case n.Add(left=x, right=y):
            return n.add(_step(x), _step(y))
        case _ if _linear_in_weights(update) and _reads_weights(update):
            return zeros_like(W)
        case _:
            return update


def _from_zero(step: Expr) -> Expr:
    """Return the step with states that start from the weights started from zero instead.

    What such a state keeps of the first weights is no part of the step, if both are sums with
    multiples of the state in them; otherwise the state is left as it is.
    """
    table = {}
    for x in walk(step):
        if isinstance(x, State) and any(map(_reads_weights, x.recursion.inits)):
            starts = tuple(fold(s, {W: zeros_like(W)}) for s in x.recursion.inits)
            if not _adds(x, step):
                continue
            table[x] = attrs.evolve(x, recursion=attrs.evolve(x.recursion, inits=starts))
    return replace(step, table)


def _adds(state: State, step: Expr) -> bool:
    """Return whether a step, and the recursion itself, only add multiples of a state."""
    recursion = state.recursion
    states = {f(recursion, i) for f in (Before, After) for i in range(len(recursion.inits))}
    own = {recursion.carry(i) for i in range(len(recursion.inits))}
    starts = (_linear(s, {W}) for s in recursion.inits)
    return _linear(step, states) and all(starts) and all(_linear(b, own) for b in recursion.bodies)


def _linear_in_weights(update: Expr) -> bool:
    """Return whether W stands only in terms c W of the sum that is the new weights."""
    return _linear(update, {W})


def _linear(expr: Expr, leaves: Set[Expr]) -> bool:
    """Return whether given leaves stand only in terms c x of a sum."""
    if expr in leaves or leaves.isdisjoint(walk(expr)):
        return True
    match expr:
        case n.Add(left=x, right=y):
            return _linear(x, leaves) and _linear(y, leaves)
        case n.Mul(left=c, right=x) if c.shape == SCALAR:
            return leaves.isdisjoint(walk(c)) and _linear(x, leaves)
        case n.Mul(left=x, right=c) if c.shape == SCALAR:
            return leaves.isdisjoint(walk(c)) and _linear(x, leaves)
        case _:
            return False


def _reads_weights(expr: Expr) -> bool:
    return Origin.WEIGHTS in expr.origins
