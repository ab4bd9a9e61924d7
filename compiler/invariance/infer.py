"""Bottom-up inference: the laws of every sub-expression, with derivations.

A node may have several laws (a square root can be read from either side, a sum may hold only under
a condition); all are carried, and what is above decides. The first node that has none is blamed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from normdsl.compiler.invariance import induction, mirror
from normdsl.compiler.invariance.coefficients import coefficient
from normdsl.compiler.invariance.conditions import NONE, SILENT, Assumption, Condition
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.judgement import MOST, Failure, Judgement, prune
from normdsl.compiler.invariance.laws import ANYTHING, ZERO, Law
from normdsl.compiler.invariance.rules import outcomes
from normdsl.compiler.invariance.unit_equations import equal, is_zero, on_unknowns
from normdsl.declarations.folding import Folding, Zeroed
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Eye, MatrixPower
from normdsl.expressions.nodes.arithmetic import Add, Pow
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import Carry, State
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation

#: The rule of a norm's operation that is typed by its definition.
DEFINED = "its definition"
#: Under which the memory keeps the first failure of a power that an exponent 0 would mend.
ASIDE = "aside"
#: Under which it keeps the judgements of what reads no state.
STILL = "still"


class Inference:
    """Types expressions in one group, with given laws for the states of enclosing recursions.

    Args:
        group: the group. states: laws assumed of `Carry` symbols.
        idle: hyper-parameters that may not be set to zero, because no step would be left.
        memory: judgements of recursions, shared by all scopes.
        zeroed: expressions with a hyper-parameter at zero, shared by all inferences of a rule.
    """

    def __init__(
        self,
        group: Group,
        idle: frozenset[str] = frozenset(),
        states: Mapping[Carry, Law] | None = None,
        memory: dict[Any, Any] | None = None,
        zeroed: Zeroed | None = None,
    ) -> None:
        self.group = group
        self.idle = idle
        self.states = dict(states or {})
        self.memory: dict[Any, Any] = {} if memory is None else memory
        self.zeroed = zeroed or Zeroed()
        self._known: dict[bytes, tuple[Judgement, ...] | Failure] = {}
        #: Of what reads no state: the same in all scopes.
        self._still: dict[bytes, tuple[Judgement, ...] | Failure]
        self._still = self.memory.setdefault(STILL, {})

    def within(self, states: Mapping[Carry, Law]) -> Inference:
        """Return an inference inside a recursion's body."""
        inside = {**self.states, **states}
        return Inference(self.group, self.idle, inside, self.memory, self.zeroed)

    def judge(self, expr: Expr) -> tuple[Judgement, ...]:
        """Return every judgement of an expression.

        Raises:
            Failure: if it has none.
        """
        key = expr.fingerprint
        known = self._known.get(key) or self._still.get(key)
        if known is None:
            try:
                known = self._judge(expr)
            except Failure as failure:
                known = failure
            kept = self._known if Origin.STATE in expr.origins else self._still
            kept[key] = known
        if isinstance(known, Failure):
            raise known
        return known

    def _judge(self, expr: Expr) -> tuple[Judgement, ...]:
        if self.group.swap:
            return mirror.judge(self, expr)
        match expr:
            case Carry():
                return (Judgement(expr, self.states[expr], "the assumption of the induction"),)
            case State():
                return induction.judge_state(self, expr)
            case NormOperation() if expr.norm.varies or expr.norm.isometries is None:
                return self._defined(expr)
            case NormOperation():
                return self._isometric(expr)
            case Add() | Pow():
                return self._or_special(expr)
            case MatrixPower():
                return self._matrix_power(expr)
            case _:
                return self._ruled(expr)

    def _ruled(self, expr: Expr) -> tuple[Judgement, ...]:
        """Apply the node's rule to every combination of its arguments' judgements."""
        arguments = [self.judge(child) for child in expr.children]
        found: list[Judgement] = []
        refusals: list[tuple[Refusal, tuple[Judgement, ...]]] = []
        for premises in itertools.islice(itertools.product(*arguments), MOST * MOST):
            try:
                proved = outcomes(expr, [j.law for j in premises], self.group)
            except Refusal as refusal:
                refusals.append((refusal, premises))
                continue
            inherited = NONE.union(*(j.conditions for j in premises))
            for o in proved:
                found.append(Judgement(expr, o.law, o.why, inherited | o.conditions, premises))
        kept = prune(found)
        if kept:
            return kept
        if refusals:
            raise Failure(expr, str(refusals[0][0]), refusals[0][1])
        raise Failure(expr, "the conditions of its parts contradict one another")

    def _or_special(self, expr: Add | Pow) -> tuple[Judgement, ...]:
        """Type a sum or power; where that fails, also with a hyper-parameter or exponent at 0."""
        try:
            found, failure = self._ruled(expr), None
            if any(not j.conditions for j in found):
                return found
        except Failure as error:
            found, failure = (), error
        kept = prune([*found, *self.specialised(expr), *self._to_the_power_zero(expr)])
        if not kept:
            raise failure or Failure(expr, "the conditions of its parts contradict one another")
        return kept

    def _matrix_power(self, expr: MatrixPower) -> tuple[Judgement, ...]:
        """Type a power of a matrix; where its base has no law of use, also with exponent 0."""
        try:
            found, failure = self._ruled(expr), None
            if any(all(_silent(c) for c in j.conditions) for j in found):
                return found
        except Failure as error:
            found, failure = (), error
        kept = prune([*found, *self._to_the_power_zero(expr)])
        if failure is not None:
            if not kept:
                raise failure
            self.memory.setdefault(ASIDE, failure)
        return kept

    def specialised(self, expr: Expr) -> Iterator[Judgement]:
        """Yield judgements of an expression that hold when one hyper-parameter is zero."""
        for param in self.zeroed.params(expr):
            smaller = None if param.name in self.idle else self.zeroed.smaller(expr, param)
            condition = None if smaller is None else is_zero(param)
            if smaller is None or condition is None:
                continue
            try:
                special = self.judge(smaller)
            except Failure:
                continue
            zero = frozenset({condition})
            why = f"the law it has when {param.name} {'=' if param.domain.contains(0) else '→'} 0"
            vanishing = isinstance(condition, Assumption)
            if vanishing and not (
                continuous(expr, self.zeroed.at(param))
                and special[0].law != ANYTHING
                and not self.has_zeros(smaller)
            ):
                continue  # what tends to zero moves as its leading term does, not as zero
            for j in special:
                yield Judgement(expr, j.law, why, j.conditions | zero, (j,))

    def _to_the_power_zero(self, expr: Expr) -> Iterator[Judgement]:
        """Yield the judgements of a power that hold when its exponent is 0, whatever its base."""
        if not isinstance(expr, Pow | MatrixPower):
            return
        needed = equal(coefficient(expr.exponent), ZERO)
        if not needed or any(map(on_unknowns, needed)):
            return
        shape = expr.shape
        one = Constant(Fraction(1), shape) if isinstance(expr, Pow) else Eye(shape.rows)
        for j in self.judge(one):
            yield Judgement(expr, j.law, "a power 0 is one", j.conditions | needed, (j,))

    def has_zeros(self, expr: Expr) -> bool:
        """Return whether a part of an expression is zero, initial values of states left out."""
        inside = walk(expr)
        starts = {x for s in inside if isinstance(s, State) for x in s.recursion.inits}
        constants = any(is_constant(x, 0) and x not in starts for x in inside)
        return constants or any(
            induction.stays_zero(self, x.recursion) for x in inside if isinstance(x, State)
        )

    def _isometric(self, expr: NormOperation) -> tuple[Judgement, ...]:
        """Type an operation of a base norm by its isometries, or else by its definition."""
        arguments = self.judge(expr.arg)
        found, refused = [], None
        for premise in arguments:
            try:
                (outcome,) = outcomes(expr, [premise.law], self.group)
            except Refusal as refusal:
                refused = refused or Failure(expr, str(refusal), (premise,))
                continue
            needed = premise.conditions | outcome.conditions
            found.append(Judgement(expr, outcome.law, outcome.why, needed, (premise,)))
        if found:
            return prune(found)
        try:
            return self._defined(expr)
        except Failure:
            raise refused or Failure(expr, "its argument has no law") from None

    def _defined(self, expr: NormOperation) -> tuple[Judgement, ...]:
        return tuple(
            Judgement(expr, j.law, DEFINED, j.conditions, (j,)) for j in self.judge(expr.definition)
        )


def _silent(condition: Condition) -> bool:
    return isinstance(condition, Assumption) and condition.kind in SILENT


def continuous(expr: Expr, folding: Folding) -> bool:
    """Return whether what folding makes zero goes through operations continuous at zero only."""
    arguments = (a for x in walk(expr) for a in x.jumps_with)
    return not any(is_constant(folding(a), 0) for a in arguments)
