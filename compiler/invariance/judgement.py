"""Judgements, the lines of a proof; and failures, which blame an expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import sympy

from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.unit_equations import consistent
from normdsl.expressions.expr import Expr

#: The most laws carried for one expression.
MOST = 24


@attrs.frozen
class Reason:
    """Why an operation of something has its law, in words that are put together when read.

    Args:
        claim: a sentence, with {} for what it is about. about: a norm or expression.
    """

    claim: str
    about: object

    def __str__(self) -> str:
        return self.claim.format(self.about)


@attrs.frozen(eq=False)
class Judgement:
    """A proved law of an expression.

    Args:
        expr: the expression. law: its law. why: the rule's reason. conditions: what it needs.
        premises: the judgements it rests on.
    """

    expr: Expr
    law: Law
    why: str | Reason
    conditions: Conditions = NONE
    premises: tuple[Judgement, ...] = ()


class Failure(Exception):  # noqa: N818 (not an error: an answer of the inference)
    """No law can be given to an expression.

    Args:
        expr: the smallest expression at fault. reason: why, as one sentence.
        premises: the laws of its arguments.
    """

    def __init__(self, expr: Expr, reason: str, premises: tuple[Judgement, ...] = ()) -> None:
        self.expr = expr
        self.reason = reason
        self.premises = premises
        super().__init__(expr, reason)

    def __str__(self) -> str:
        return f"{self.expr}: {self.reason}"


def settled(judgement: Judgement, chosen: Mapping[sympy.Symbol, sympy.Expr]) -> Judgement:
    """Return a proof with its unknown exponents replaced by those chosen, others by 0."""
    done: dict[int, Judgement] = {}

    def change(j: Judgement) -> Judgement:
        if id(j) not in done:
            law, premises = settled_law(j.law, chosen), tuple(map(change, j.premises))
            done[id(j)] = attrs.evolve(j, law=law, premises=premises)
        return done[id(j)]

    return change(judgement)


def settled_law(law: Law, chosen: Mapping[sympy.Symbol, sympy.Expr]) -> Law:
    """Return a law with its unknown exponents replaced by those chosen, others by 0."""

    def number(x: sympy.Expr | None) -> sympy.Expr | None:
        if x is None or not x.has(sympy.Dummy):
            return x
        x = x.subs(dict(chosen))
        return x.subs(dict.fromkeys(x.atoms(sympy.Dummy), 0))

    return attrs.evolve(law, unit=number(law.unit), offset=number(law.offset))


def prune(judgements: Iterable[Judgement]) -> tuple[Judgement, ...]:
    """Drop judgements with contradictory conditions, and those another one makes superfluous."""
    kept: list[Judgement] = []
    for j in sorted(judgements, key=lambda j: len(j.conditions)):
        superfluous = any(k.law == j.law and k.conditions <= j.conditions for k in kept)
        if not superfluous and consistent(j.conditions):
            kept.append(j)
    return tuple(kept[:MOST])
