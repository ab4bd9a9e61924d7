"""Verdicts: the four answers, with a proof, or with a culprit and a witness."""

from __future__ import annotations

import enum
import html
from collections.abc import Iterator, Mapping

import attrs

from normdsl.compiler.invariance.canonical import canonical
from normdsl.compiler.invariance.conditions import Condition, show
from normdsl.compiler.invariance.decide import Decision, Mode
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Judgement
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.mirror import image_names
from normdsl.compiler.invariance.remarks import Remark
from normdsl.compiler.invariance.witness import Witness
from normdsl.declaration import Declaration
from normdsl.expr import Expr
from normdsl.graph import walk
from normdsl.nodes import Stream
from normdsl.recursion import Before, State, release
from normdsl.show.latex import latex
from normdsl.show.text import text
from normdsl.source import Where
from normdsl.streams import cols, rows, t

#: What can move at all; the rest are numbers, which proofs leave out.
_MOVING = Stream | State
_STILL = frozenset({t, rows, cols})


class Status(enum.Enum):
    """The four answers."""

    INVARIANT = "invariant"
    CONDITIONAL = "invariant if"
    REFUTED = "not invariant"
    UNKNOWN = "unknown"


@attrs.frozen
class ProofLine:
    """One step of a proof: an expression, its law, and why.

    Args:
        expr: the expression. law: its law. rule: why it has it. where: the source line.
        formula: the expression as text. moves: its law as text. latex: the expression as LaTeX.
    """

    expr: Expr
    law: Law
    rule: str
    where: Where | None
    formula: str
    moves: str
    latex: str

    def __str__(self) -> str:
        place = "" if self.where is None else f"  [line {self.where.line}]"
        return f"{self.formula:<40} : {self.moves:<26}  {self.rule}{place}"


@attrs.frozen
class Culprit:
    """The smallest expression that has no law, and why."""

    expr: Expr
    reason: str
    formula: str
    where: Where | None

    def __str__(self) -> str:
        place = "" if self.where is None else f"  ({self.where})"
        return f"{self.formula}: {self.reason}{place}"


@attrs.frozen
class Verdict:
    """The answer for one declaration and one group.

    Args:
        declaration: the rule. group: the group. status: the answer.
        conditions: what an `invariant if` depends on.
        proof: line by line, if it is (conditionally) invariant; else empty.
        culprit: where typing failed, if it did. witness: a counterexample, if one was found.
        mode: exact, in law (of random draws), or in the limit.
        limits: what must tend to a value its domain excludes. assumed: what `check` was told.
        otherwise: of a conditional verdict, a counterexample where its conditions are violated.
        remarks: where the rule's own run is not finite. stopped: whether it never is: the verdict
            is then unknown, since trajectories that are NaN are none.
    """

    declaration: Declaration
    group: Group
    status: Status
    conditions: tuple[Condition, ...] = ()
    proof: tuple[ProofLine, ...] = ()
    culprit: Culprit | None = None
    witness: Witness | None = None
    mode: Mode = Mode.EXACT
    limits: tuple[Condition, ...] = ()
    assumed: tuple[Condition, ...] = ()
    otherwise: Witness | None = None
    remarks: tuple[Remark, ...] = ()
    stopped: bool = False

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
            parts.append("if " + show(self.conditions, self.declaration.labels))
        if self.limits:
            limit = show(self.limits, self.declaration.labels)
            parts.append(f"in the limit {limit}, where continuous")
        return " ".join(parts)

    @property
    def because(self) -> str:
        """The reason in one sentence."""
        if self.culprit is None:
            sense = ", in distribution" if self.mode is Mode.LAW else ""
            parts = [f"every step moves as the weights do{sense}"]
            if self.conditions:
                parts.append("provided " + show(self.conditions, self.declaration.labels))
            if self.limits:
                limit = show(self.limits, self.declaration.labels)
                parts.append(f"in the limit {limit}, as long as the step is continuous there")
            return ", ".join(parts)
        at = "" if self.culprit.where is None else f" (line {self.culprit.where.line})"
        found = "" if self.witness or self.stopped else "; no counterexample was found either"
        return f"in {self.culprit.formula}{at}, {self.culprit.reason}{found}"

    @property
    def notes(self) -> list[str]:
        """The remarks as sentences."""
        return [remark.show(self.declaration.labels) for remark in self.remarks]

    def __str__(self) -> str:
        lines = [
            f"{self.declaration.name}, {self.group.name} ({self.group.formula}): {self.answer}"
        ]
        if self.assumed:
            lines += ["  assumed: " + show(self.assumed, self.declaration.labels)]
        if self.proof:
            lines += ["  proof:", *(f"    {line}" for line in self.proof)]
        if self.culprit is not None:
            lines += [f"  culprit: {self.culprit}"]
        if self.witness is not None:
            lines += [f"  witness: {self.witness}"]
        if self.otherwise is not None:
            lines += [f"  otherwise not: {self.otherwise}"]
        if self.status is Status.UNKNOWN and not self.stopped:
            lines += ["  typing failed, but no run was found that breaks the invariance"]
        lines += [f"  remark: {remark}" for remark in self.notes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{self.declaration.name}: {self.group.name} {self.answer}>"

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.declaration.name}, {self.group.name} ({self.group.formula})")
        parts = [f"<b>{title}: {html.escape(self.answer)}</b><br>{html.escape(self.because)}."]
        if self.witness is not None:
            parts.append(f"<br>Counterexample: {html.escape(str(self.witness))}.")
        if self.otherwise is not None:
            parts.append(f"<br>Otherwise not: {html.escape(str(self.otherwise))}.")
        parts += [f"<br>Remark: {html.escape(note)}." for note in self.notes]
        if self.proof:
            rows = "".join(_html_line(line) for line in self.proof)
            parts.append(f"<details open><summary>proof</summary><table>{rows}</table></details>")
        return "".join(parts)


def _other_names(expr: Expr, names: Mapping[Expr, str]) -> Mapping[Expr, str]:
    """Return the names for writing an expression out: all but its own, unless it is a state."""
    return names if isinstance(expr, State) else {k: v for k, v in names.items() if k != expr}


def _html_line(line: ProofLine) -> str:
    place = "" if line.where is None else f"line {line.where.line}"
    cells = (f"${line.latex}$", html.escape(line.moves), html.escape(line.rule), place)
    row = "".join(f"<td style='text-align:left'>{c}</td>" for c in cells)
    return f"<tr>{row}</tr>"


def proved(declaration: Declaration, group: Group, decision: Decision) -> Verdict:
    """Return the verdict of a decision that has a proof."""
    found = decision.proof
    assert found is not None
    asks = found.conditions or found.limits
    conditions, limits, assumed = (
        tuple(sorted(c, key=str)) for c in (found.conditions, found.limits, found.assumed)
    )
    return Verdict(
        declaration,
        group,
        Status.CONDITIONAL if asks else Status.INVARIANT,
        conditions,
        tuple(proof_lines(found.judgement, declaration.labels)),
        mode=found.mode,
        limits=limits,
        assumed=assumed,
    )


def _place(expr: Expr, declaration: Declaration) -> Where | None:
    """Return where an expression was written; a stream, where it is first used."""
    users = (x.where for x in walk(declaration.update) if expr in x.children)
    return expr.where or next(users, None)


def unproved(
    declaration: Declaration, group: Group, decision: Decision, witness: Witness | None
) -> Verdict:
    """Return the verdict of a failed inference: refuted if there is a witness, else unknown."""
    failure = decision.failure
    assert failure is not None
    names = declaration.labels
    formula = text(failure.expr, _other_names(failure.expr, names))
    culprit = Culprit(failure.expr, failure.reason, formula, _place(failure.expr, declaration))
    status = Status.UNKNOWN if witness is None else Status.REFUTED
    return Verdict(declaration, group, status, culprit=culprit, witness=witness)


def without_run(declaration: Declaration, group: Group, remark: Remark) -> Verdict:
    """Return the verdict on a rule that makes no trajectory: unknown, whatever typing says."""
    formula = text(remark.expr, _other_names(remark.expr, declaration.labels))
    reason = (
        f"{remark.reason} at step {remark.step}: the rule's own run is not finite from there on"
    )
    culprit = Culprit(remark.expr, reason, formula, _place(remark.expr, declaration))
    return Verdict(
        declaration, group, Status.UNKNOWN, culprit=culprit, remarks=(remark,), stopped=True
    )


def proof_lines(judgement: Judgement, names: Mapping[Expr, str]) -> list[ProofLine]:
    """Return a judgement's proof, with the author's names for expressions."""
    if judgement.law.twin is not None:
        names = {**image_names(names), **names}
    return list(_lines(judgement, names, set()))


def _released(expr: Expr, scope: tuple[State, ...]) -> Expr:
    """Return an expression from inside recursions over the states before the step."""
    for state in scope:
        expr = release(expr, state.recursion, Before)
    return expr


def _lines(
    judgement: Judgement,
    names: Mapping[Expr, str],
    seen: set[tuple[Expr, Law]],
    scope: tuple[State, ...] = (),
    twins: tuple[State, ...] = (),
) -> Iterator[ProofLine]:
    """Yield the judgements a proof rests on before itself, each once; numbers are left out.

    Inside a recursion's body, its states are written as their values before the step.
    """
    expr, law = _released(judgement.expr, scope), judgement.law
    if law.twin is not None:
        law = attrs.evolve(law, twin=_released(law.twin, twins))
    if (expr, law) in seen:
        return
    seen.add((expr, law))
    if isinstance(judgement.expr, State):
        scope = (judgement.expr, *scope)
    if isinstance(judgement.law.twin, State):
        twins = (judgement.law.twin, *twins)
    for premise in judgement.premises:
        yield from _lines(premise, names, seen, scope, twins)
    if any(isinstance(x, _MOVING) and x not in _STILL for x in walk(expr)):
        shown = _other_names(expr, names)
        formula, moves = text(expr, shown), law.show(names)
        if law.twin is not None and canonical(law.twin) == canonical(expr):
            moves = "its own transpose"
        yield ProofLine(expr, law, judgement.why, expr.where, formula, moves, latex(expr, shown))
