"""Verdicts: the four answers, with a proof, or with a culprit and a witness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from normdsl.compiler.invariance.conditions import (
    Assumption,
    Condition,
    Kind,
    shapes,
    show,
)
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.lines import Lines, ProofLine, other_names, proof_lines
from normdsl.compiler.invariance.lines import folded as folded_lines
from normdsl.compiler.invariance.naming import at_zero, can_vanish, complete, names_of
from normdsl.compiler.invariance.prove import Decision, Mode
from normdsl.compiler.invariance.remarks import Remark
from normdsl.compiler.invariance.status import Status
from normdsl.compiler.invariance.witness import Witness
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import After, State
from normdsl.expressions.traversal import walk
from normdsl.show.page import Shown, folded, paragraph, title
from normdsl.show.sparkline import curve
from normdsl.show.text import WIDTH, text, wrapped
from normdsl.source import Where

__all__ = ["Culprit", "ProofLine", "Status", "Verdict", "proof_lines", "proved", "unproved"]


@attrs.frozen(repr=False)
class Culprit(Shown):
    """The smallest expression that has no law, and why.

    Args:
        expr: the expression. reason: why it has none. declaration: the rule it is part of.
    """

    expr: Expr
    reason: str
    declaration: Rule

    @property
    def formula(self) -> str:
        """The expression as text, with the author's names."""
        return text(self.expr, other_names(self.expr, _names_in(self.declaration, self.expr)))

    @property
    def where(self) -> Where | None:
        """The source line of the expression."""
        return _place(self.expr, self.declaration)

    def __str__(self) -> str:
        place = "" if self.where is None else f"  ({self.where})"
        return f"{self.formula}: {self.reason}{place}"

    def _repr_html_(self) -> str:
        return paragraph(str(self))


@attrs.frozen
class Verdict:
    """The answer for one declaration and one group.

    Args:
        declaration: the rule. group: the group. status: the answer.
        conditions: what an `invariant if` depends on.
        proof: line by line, if it is (conditionally) invariant; else empty.
        culprit: where typing failed, if it did. witness: a counterexample, if one was found.
        mode: exact, in law (of random draws), or in the limit.
        limits: what must tend to a value its domain excludes.
        assumed: the assumptions that were given to `check`.
        otherwise: of a conditional verdict, a counterexample where its conditions are violated.
        searched: whether a counterexample was looked for; of a limit, runs that jump near it.
        remarks: where the rule's own run is not finite. stopped: whether it never is: the verdict
            is then unknown, since NaN is not a trajectory.
    """

    declaration: Rule
    group: Group
    status: Status
    conditions: tuple[Condition, ...] = ()
    proof: Sequence[ProofLine] = ()
    culprit: Culprit | None = None
    witness: Witness | None = None
    mode: Mode = Mode.EXACT
    limits: tuple[Condition, ...] = ()
    assumed: tuple[Condition, ...] = ()
    otherwise: Witness | None = None
    searched: bool = True
    remarks: tuple[Remark, ...] = ()
    stopped: bool = False

    @property
    def names(self) -> Mapping[Expr, str]:
        """The names of what its conditions are about."""
        told = (*self.conditions, *self.limits, *self.assumed)
        names = names_of(self.declaration, at_zero(self.declaration, told))
        return complete(names, [c.of for c in told if isinstance(c, Assumption)])

    @property
    def invariant(self) -> bool:
        """Whether it is invariant without conditions, exactly or in law."""
        return self.status is Status.INVARIANT

    @property
    def answer(self) -> str:
        """The answer with its conditions, as in a table."""
        if self.status in (Status.REFUTED, Status.UNKNOWN):
            answer: str = self.status.value
            return answer
        parts = ["invariant in law" if self.mode is Mode.LAW else "invariant"]
        if self.conditions:
            parts.append("if " + show(self.conditions, self.names))
        if self.limits:
            limit = show(self.limits, self.names)
            parts.append(f"in the limit {limit}, where continuous")
        return " ".join(parts)

    @property
    def because(self) -> str:
        """The reason in one sentence."""
        if self.culprit is None:
            sense = ", in distribution" if self.mode is Mode.LAW else ""
            parts = [f"every step moves as the weights do{sense}"]
            carried = f": {self.proof.carried}" if isinstance(self.proof, Lines) else ""
            if self.conditions:
                parts.append("provided " + show(self.conditions, self.names))
            if self.limits:
                limit = show(self.limits, self.names)
                parts.append(f"in the limit {limit}, as long as the step is continuous there")
            return ", ".join(parts) + carried
        at = "" if self.culprit.where is None else f" (line {self.culprit.where.line})"
        found = "; no counterexample was found either" if self.searched else ""
        found = "" if self.witness or self.stopped else found
        return f"in {self.culprit.formula}{at}, {self.culprit.reason}{found}"

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """Return the verdict with its proof or witness, in lines of a width.

        Args:
            width: of the lines; without it, each step of a proof has one line, however long.
        """
        head = f"{self.declaration.name}, {self.group.name} ({self.group.formula}): {self.answer}"
        lines = wrapped(head, width or WIDTH)
        told = {
            "assumed": show(self.assumed, self.names) if self.assumed else None,
            "note": "; ".join(self.notes) or None,
            "culprit": self.culprit,
            "witness": self.witness,
            "otherwise not": self.otherwise,
        }
        said = [f"  {what}: {x}" for what, x in told.items() if x is not None]
        unsettled = self.status is Status.UNKNOWN and not self.stopped
        said += [f"  {self._unsettled}"] if unsettled else []
        lines += [piece for sentence in said for piece in wrapped(sentence, width or WIDTH)]
        if self.proof:
            lines += ["  proof:", *folded_lines(self.proof, width)]
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """Where its own runs are not finite, and for which shapes its conditions can be met."""
        remarks = [remark.show(self.names) for remark in self.remarks]
        if self.limits and not self.searched:
            remarks.append("no run was looked for in which the step jumps near the limit")
        told = [
            c
            for c in (*self.conditions, *self.assumed)
            if isinstance(c, Assumption) and c.kind is Kind.DISTINCT
        ]
        only = shapes(told, self.names)
        if not only:
            return remarks
        return [*remarks, f"{show(told, self.names)} at the first step only for {only}"]

    @property
    def _unsettled(self) -> str:
        if not self.searched:
            return "typing failed, and no run was looked for that breaks the invariance"
        return "typing failed, but no run was found that breaks the invariance"

    def __repr__(self) -> str:
        return f"<{self.declaration.name}: {self.group.name} {self.answer}>"

    def _repr_html_(self) -> str:
        head = f"{self.declaration.name}, {self.group.name} ({self.group.formula}):"
        parts = [title(head, self.answer, self.status.tone), paragraph(f"{self.because}.")]
        for what, found in (("Counterexample", self.witness), ("Otherwise not", self.otherwise)):
            if found is not None:
                parts.append(folded(f"{what}: {found}.", curve(found.curve)))
        parts += [paragraph(f"Remark: {note}.") for note in self.notes]
        if isinstance(self.proof, Lines):
            parts.append(folded("proof", self.proof._repr_html_(), unfolded=True))
        return "".join(parts)


def proved(declaration: Rule, group: Group, decision: Decision, searched: bool = True) -> Verdict:
    """Return the verdict of a decision that has a proof."""
    found = decision.proof
    assert found is not None
    asks = found.conditions or found.limits
    zeros = at_zero(declaration, found.conditions | found.limits)
    conditions, limits, assumed = (
        tuple(sorted(c, key=str)) for c in (found.conditions, found.limits, found.assumed)
    )
    return Verdict(
        declaration,
        group,
        Status.CONDITIONAL if asks else Status.INVARIANT,
        conditions,
        Lines(found.judgement, declaration, zeros),
        mode=found.mode,
        limits=limits,
        assumed=assumed,
        searched=searched,
    )


def _place(expr: Expr, declaration: Rule) -> Where | None:
    """Return where an expression was written; a stream, where it is first used."""
    users = (x.where for x in walk(declaration.update) if expr in x.children)
    return expr.where or next(users, None)


def unproved(
    declaration: Rule,
    group: Group,
    decision: Decision,
    witness: Witness | None,
    searched: bool = True,
) -> Verdict:
    """Return the verdict of a failed inference: refuted if there is a witness, else unknown."""
    failure = decision.failure
    assert failure is not None
    culprit = Culprit(failure.expr, failure.reason, declaration)
    status = Status.UNKNOWN if witness is None else Status.REFUTED
    return Verdict(declaration, group, status, culprit=culprit, witness=witness, searched=searched)


def _names_in(declaration: Rule, expr: Expr) -> Mapping[Expr, str]:
    """Return names for all states in an expression, also with some hyper-parameters 0."""
    names = names_of(declaration)
    if any(isinstance(x, State) and _after(x) not in names for x in walk(expr)):
        names = names_of(declaration, can_vanish(declaration))
    return complete(names, [expr])


def without_run(declaration: Rule, group: Group, remark: Remark) -> Verdict:
    """Return the verdict on a rule whose runs are never finite: unknown, whatever typing finds."""
    reason = (
        f"{remark.reason} at step {remark.step}: the rule's own run is not finite from there on"
    )
    culprit = Culprit(remark.expr, reason, declaration)
    return Verdict(
        declaration, group, Status.UNKNOWN, culprit=culprit, remarks=(remark,), stopped=True
    )


def _after(state: State) -> Expr:
    return After(state.recursion, state.index, where=None)
