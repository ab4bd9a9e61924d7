"""Proofs as people read them: a line per sub-expression, and what carries the whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import overload

import attrs

from normdsl.compiler.invariance.coefficients import Varying
from normdsl.compiler.invariance.infer import DEFINED
from normdsl.compiler.invariance.judgement import Judgement
from normdsl.compiler.invariance.laws import ANYTHING, INVARIANT, Law, moved
from normdsl.compiler.invariance.mirror import image_names
from normdsl.compiler.invariance.naming import Zeros, complete, names_of
from normdsl.compiler.invariance.normal_form import normal_form
from normdsl.declarations.rule import Rule
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Stream
from normdsl.expressions.origins import STILL, Origin
from normdsl.expressions.recursion import Before, State, release
from normdsl.expressions.shapes import SCALAR
from normdsl.show.grid import Grid
from normdsl.show.latex import latex
from normdsl.show.page import Shown
from normdsl.show.text import text, wrapped
from normdsl.source import Where

#: Nodes whose rules are in every proof, and how many other rules a sentence names.
_DULL = n.Add | n.Mul | n.MatMul | n.Transpose | State
_MOST_TOLD = 2


@attrs.frozen(repr=False)
class ProofLine(Shown):
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

    @property
    def place(self) -> str:
        """The line of the user's source, with its text where it can be read."""
        if self.where is None:
            return ""
        source = textwrap.shorten(self.where.text, 60, placeholder=" …")
        return f"line {self.where.line}" + (f": {source}" if source else "")

    @property
    def halves(self) -> tuple[str, str]:
        """The expression, and below it its law and why, for narrow pages."""
        place = "" if self.where is None else f" [line {self.where.line}]"
        return f"    {self.formula}", f"        {self.moves}: {self.rule}{place}"


class Lines(Shown, Sequence[ProofLine]):
    """The lines of a proof, written when they are first read."""

    def __init__(self, judgement: Judgement, declaration: Rule, zeros: Zeros) -> None:
        self._judgement = judgement
        self._declaration, self._zeros = declaration, zeros

    @cached_property
    def _lines(self) -> tuple[ProofLine, ...]:
        return tuple(proof_lines(self._judgement, self._names))

    @property
    def _names(self) -> Mapping[Expr, str]:
        return names_of(self._declaration, self._zeros)

    @property
    def carried(self) -> str:
        """What carries the proof: how the step moves, and by which rule."""
        return carried(self._judgement, self._names)

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

    def __str__(self) -> str:
        return "\n".join(map(str, self._lines))

    def _repr_html_(self) -> str:
        cells = [(f"${x.latex}$", x.moves, x.rule, x.place) for x in self._lines]
        return Grid(("value", "moves as", "because", "where"), cells).html()


def folded(lines: Sequence[ProofLine], width: int | None) -> list[str]:
    """Return a proof in lines of a width: a step a line, or, if one is too long, two for each."""
    shown = [f"    {line}" for line in lines]
    if width is None or max(map(len, shown)) <= width:
        return shown
    return [piece for line in lines for part in line.halves for piece in wrapped(part, width)]


def other_names(expr: Expr, names: Mapping[Expr, str]) -> Mapping[Expr, str]:
    """Return the names for writing an expression out: all but its own, unless it is a state."""
    return names if isinstance(expr, State) else {k: v for k, v in names.items() if k != expr}


def proof_lines(judgement: Judgement, names: Mapping[Expr, str]) -> list[ProofLine]:
    """Return a judgement's proof, with the author's names for expressions."""
    steps = list(_steps(judgement, set()))
    if judgement.law.twin is not None:
        names = {**image_names(names), **names}
    names = complete(names, (x for expr, law, _ in steps for x in (expr, *_inside(law))))
    return [_line(expr, law, str(j.why), names) for expr, law, j in steps]


def _inside(law: Law) -> list[Expr]:
    """Return the expressions that a law mentions."""
    twins = [] if law.twin is None else [law.twin]
    return [*twins, *(frame.of for frame in law.frames), *(v.expr for v in law.varying)]


def _line(expr: Expr, law: Law, why: str, names: Mapping[Expr, str]) -> ProofLine:
    shown = other_names(expr, names)
    formula, moves = text(expr, shown), law.show(names)
    if law.twin is not None and normal_form(law.twin) == normal_form(expr):
        moves = "its own transpose"
    return ProofLine(expr, law, why, expr.where, formula, moves, latex(expr, shown))


def _released(expr: Expr, scope: tuple[State, ...]) -> Expr:
    """Return an expression from inside recursions over the states before the step."""
    for state in scope:
        expr = release(expr, state.recursion, Before)
    return expr


def _law_released(law: Law, scope: tuple[State, ...]) -> Law:
    """Return a law with the coefficients in it as seen from outside of recursions."""
    table = {v: Varying(_released(v.expr, scope), v.age) for v in law.varying}
    return law.valued(lambda x: None if x is None else x.xreplace(table)) if table else law


def _steps(
    judgement: Judgement,
    seen: set[tuple[Expr, Law]],
    scope: tuple[State, ...] = (),
    twins: tuple[State, ...] = (),
) -> Iterator[tuple[Expr, Law, Judgement]]:
    """Yield what is judged and its law, after what it rests on, each once; numbers are left out.

    Inside a recursion's body, its states are written as their values before the step.
    """
    expr, law = _released(judgement.expr, scope), _law_released(judgement.law, scope)
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
    if not expr.origins.within(STILL):  # the rest are numbers, which proofs leave out
        yield expr, law, judgement


def carried(judgement: Judgement, names: Mapping[Expr, str]) -> str:
    """Return what carries a proof: how its step moves, and by which rules."""
    if judgement.law.twin is not None:
        return "with rows and columns exchanged it is the same rule"
    step = _step(judgement)
    names = complete(names, [step.expr])
    told = _telling(step)
    if not told and not isinstance(step.expr, Stream):
        told = ["nothing it reads moves" if step.law == INVARIANT else str(step.why)]
    why = f" ({'; '.join(told)})" if told else ""
    return f"{text(step.expr, names)} is {moved(step.law)}{why}"


def _step(judgement: Judgement) -> Judgement:
    """Return the judgement of what the gradient adds to the weights, number in front left out."""
    while isinstance(judgement.expr, n.Add) or _is_multiple(judgement):
        driven = [p for p in judgement.premises if _reads_gradient(p.expr)]
        if not driven:
            break
        judgement = driven[-1]
    return judgement


def _is_multiple(judgement: Judgement) -> bool:
    """Return whether it is a number that does not move times something else."""
    numbers = [p for p in judgement.premises if p.expr.shape == SCALAR and p.law == INVARIANT]
    return isinstance(judgement.expr, n.Mul) and len(numbers) == 1


def _reads_gradient(expr: Expr) -> bool:
    return Origin.GRADIENT in expr.origins


def _telling(step: Judgement) -> list[str]:
    """Return the rules that a step rests on beyond sums, products and averages: a few, near ones.

    Rules about what does not move explain nothing, and are left out.
    """
    found: dict[str, None] = {}
    level, seen = [step], {step}
    while level and len(found) < _MOST_TOLD:
        for j in level:
            moving = any(p.law not in (INVARIANT, ANYTHING) for p in j.premises)
            if moving and not isinstance(j.expr, _DULL) and j.why != DEFINED:
                found.setdefault(str(j.why))
        below = dict.fromkeys(p for j in level for p in j.premises if p not in seen)
        seen.update(below)
        level = list(below)
    return list(found)[:_MOST_TOLD]
