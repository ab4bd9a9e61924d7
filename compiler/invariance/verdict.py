"""Verdicts: the four answers, with a proof, or with a culprit and a witness."""

from __future__ import annotations

import enum
import html
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

import attrs

from normdsl.compiler.invariance.canonical import canonical
from normdsl.compiler.invariance.conditions import Assumption, Condition, show
from normdsl.compiler.invariance.decide import Decision, Mode
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Judgement
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.mirror import image_names
from normdsl.compiler.invariance.naming import Zeros, at_zero, can_vanish, complete, names_of
from normdsl.compiler.invariance.witness import Witness
from normdsl.declaration import Declaration
from normdsl.expr import Expr
from normdsl.graph import walk
from normdsl.nodes import Draw, Stream
from normdsl.recursion import After, Before, State, release
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


class Lines(Sequence[ProofLine]):
    """The lines of a proof, written when they are first read."""

    def __init__(self, judgement: Judgement, declaration: Declaration, zeros: Zeros) -> None:
        self._write = lambda: proof_lines(judgement, names_of(declaration, zeros))

    @cached_property
    def _lines(self) -> tuple[ProofLine, ...]:
        return tuple(self._write())

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, key: int) -> ProofLine: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[ProofLine, ...]: ...

    def __getitem__(self, key: int | slice) -> ProofLine | tuple[ProofLine, ...]:
        return self._lines[key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._lines == tuple(other)

    def __hash__(self) -> int:
        return hash(self._lines)

    def __repr__(self) -> str:
        return repr(self._lines)


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
    """

    declaration: Declaration
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
            if self.conditions:
                parts.append("provided " + show(self.conditions, self.names))
            if self.limits:
                limit = show(self.limits, self.names)
                parts.append(f"in the limit {limit}, as long as the step is continuous there")
            return ", ".join(parts)
        at = "" if self.culprit.where is None else f" (line {self.culprit.where.line})"
        found = "" if self.witness is not None else "; no counterexample was found either"
        if self.status is Status.UNKNOWN and _draws(self.declaration):
            found = "; whether runs agree in distribution was not tested"
        return f"in {self.culprit.formula}{at}, {self.culprit.reason}{found}"

    def __str__(self) -> str:
        lines = [
            f"{self.declaration.name}, {self.group.name} ({self.group.formula}): {self.answer}"
        ]
        if self.assumed:
            lines += ["  assumed: " + show(self.assumed, self.names)]
        if self.proof:
            lines += ["  proof:", *(f"    {line}" for line in self.proof)]
        if self.culprit is not None:
            lines += [f"  culprit: {self.culprit}"]
        if self.witness is not None:
            lines += [f"  witness: {self.witness}"]
        if self.otherwise is not None:
            lines += [f"  otherwise not: {self.otherwise}"]
        if self.status is Status.UNKNOWN:
            lines += ["  typing failed, but no run was found that breaks the invariance"]
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
        if self.proof:
            rows = "".join(_html_line(line) for line in self.proof)
            parts.append(f"<details open><summary>proof</summary><table>{rows}</table></details>")
        return "".join(parts)


def _draws(declaration: Declaration) -> bool:
    return any(isinstance(x, Draw) for x in walk(declaration.update))


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
    names = _names_in(declaration, failure.expr)
    formula = text(failure.expr, _other_names(failure.expr, names))
    culprit = Culprit(failure.expr, failure.reason, formula, _place(failure.expr, declaration))
    status = Status.UNKNOWN if witness is None else Status.REFUTED
    return Verdict(declaration, group, status, culprit=culprit, witness=witness)


def _names_in(declaration: Declaration, expr: Expr) -> Mapping[Expr, str]:
    """Return names for all states in an expression, also with some hyper-parameters 0."""
    names = names_of(declaration)
    if any(isinstance(x, State) and _after(x) not in names for x in walk(expr)):
        names = names_of(declaration, can_vanish(declaration))
    return complete(names, [expr])


def _after(state: State) -> Expr:
    return After(state.recursion, state.index, where=None)


def proof_lines(judgement: Judgement, names: Mapping[Expr, str]) -> list[ProofLine]:
    """Return a judgement's proof, with the author's names for expressions."""
    steps = list(_steps(judgement, set()))
    if judgement.law.twin is not None:
        names = {**image_names(names), **names}
    names = complete(names, (x for expr, law, _ in steps for x in (expr, *_inside(law))))
    return [_line(expr, law, j.why, names) for expr, law, j in steps]


def _inside(law: Law) -> list[Expr]:
    """Return the expressions that a law speaks of."""
    twins = [] if law.twin is None else [law.twin]
    return twins + [frame.of for frame in law.frames]


def _line(expr: Expr, law: Law, why: str, names: Mapping[Expr, str]) -> ProofLine:
    shown = _other_names(expr, names)
    formula, moves = text(expr, shown), law.show(names)
    if law.twin is not None and canonical(law.twin) == canonical(expr):
        moves = "its own transpose"
    return ProofLine(expr, law, why, expr.where, formula, moves, latex(expr, shown))


def _released(expr: Expr, scope: tuple[State, ...]) -> Expr:
    """Return an expression from inside recursions over the states before the step."""
    for state in scope:
        expr = release(expr, state.recursion, Before)
    return expr


def _steps(
    judgement: Judgement,
    seen: set[tuple[Expr, Law]],
    scope: tuple[State, ...] = (),
    twins: tuple[State, ...] = (),
) -> Iterator[tuple[Expr, Law, Judgement]]:
    """Yield what is judged and its law, after what it rests on, each once; numbers are left out.

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
        yield from _steps(premise, seen, scope, twins)
    if any(isinstance(x, _MOVING) and x not in _STILL for x in walk(expr)):
        yield expr, law, judgement
