"""Rules side by side: geometry, degree, and the verdict for every group, as one table.

Everything is computed from the declarations. Conditions of verdicts are letters explained below the
table; remarks are numbered, and one that names a group is checked against the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import attrs

from normdsl.compiler.comparison.geometry import Geometry, definitions, geometry
from normdsl.compiler.invariance.degree import Degree
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.compiler.verdicts.check import check
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.show.grid import Grid
from normdsl.show.latex import Latex
from normdsl.show.notation import Notation
from normdsl.show.text import Text, wrapped

_KEY = (
    "yes: proved. no: refuted by runs that replay. if: proved under the condition of that "
    "letter. ?: neither proved nor refuted."
)
_HEAD = ("method", "base norm", "L", "R", "D", "step", "degree")


@attrs.frozen
class Remark:
    """A claim about a rule that was published elsewhere, and why the table differs from it.

    Args:
        rule: name of the rule. claim: what was published. why: the reason, a sentence or two.
        group: the group the claim is about, if it is about an invariance.
        invariant: whether the claim is that it holds, possibly under conditions.
    """

    rule: str
    claim: str
    why: str
    group: str = ""
    invariant: bool = True


@attrs.frozen(repr=False)
class Comparison:
    """Rules with their geometry, degrees and verdicts.

    Args:
        report: the verdicts. remarks: on some of the rules.
    """

    report: Report
    remarks: Sequence[Remark] = ()

    def __attrs_post_init__(self) -> None:
        for remark in self.remarks:
            if remark.group and self._agrees(remark):
                raise NormdslError(
                    f"remark on {remark.rule} that others call it otherwise in {remark.group}",
                    why="the verdict is what they say",
                    hint="leave the remark out",
                )

    def _agrees(self, remark: Remark) -> bool:
        status = self.report[remark.rule, remark.group].status
        return remark.invariant == (status in (Status.INVARIANT, Status.CONDITIONAL))

    @cached_property
    def letters(self) -> dict[str, str]:
        """The letters of the conditions, in the order in which they occur."""
        answers = (v.answer for v in self.report if v.status is Status.CONDITIONAL)
        asked = [*map(_condition, answers), *filter(None, (d.needs for d in self.report.degrees))]
        return {c: _letter(k) for k, c in enumerate(dict.fromkeys(asked))}

    @property
    def methods(self) -> Grid:
        """The table of base norms, preconditioners, oracles and degrees."""
        rules = self.report.declarations
        rows = [self._row(r, Text(r.labels), text=True) for r in rules]
        latex = [self._row(r, Latex(r.labels), text=False) for r in rules]
        return Grid(_HEAD, rows, latex)

    @property
    def verdicts(self) -> Grid:
        """The table of verdicts: a row for each rule, a column for each group."""
        groups = self.report.groups
        rows = [
            [r.name + self._numbers(r), *(self._mark(self.report[r.name, g.name]) for g in groups)]
            for r in self.report.declarations
        ]
        tones = {self._mark(v): v.status.tone for v in self.report}
        tips = {g.name: g.formula for g in groups} | {f"if {x}": c for c, x in self.letters.items()}
        return Grid(["method", *(g.name for g in groups)], rows, tones=tones, tips=tips)

    @property
    def notes(self) -> list[str]:
        """The conditions behind the letters, then the remarks."""
        conditions = [f"{letter}: {c}" for c, letter in self.letters.items()]
        return [_KEY, *conditions, *(self._note(k, r) for k, r in enumerate(self.remarks, 1))]

    @property
    def statistics(self) -> list[str]:
        """What the names in the first table mean, rule by rule."""
        return [line for r in self.report.declarations for line in _defined(r)]

    def _numbers(self, rule: Rule) -> str:
        numbers = [str(k) for k, r in enumerate(self.remarks, 1) if r.rule == rule.name]
        return f" [{', '.join(numbers)}]" if numbers else ""

    def _note(self, number: int, remark: Remark) -> str:
        found = f" Here: {self.report[remark.rule, remark.group].answer}." if remark.group else ""
        return f"[{number}] {remark.rule}: {remark.claim}{found} {remark.why}"

    def _mark(self, verdict: Verdict) -> str:
        if verdict.status is Status.CONDITIONAL:
            return f"{verdict.status.mark} {self.letters[_condition(verdict.answer)]}"
        return verdict.status.mark

    @cached_property
    def _degrees(self) -> dict[Rule, Degree]:
        return {d.declaration: d for d in self.report.degrees}

    def _degree(self, found: Degree | None) -> str:
        if found is None:
            return "—"
        return f"{found.exponent}" + (f" if {self.letters[found.needs]}" if found.needs else "")

    def _row(self, rule: Rule, n: Notation, text: bool) -> list[str]:
        name = rule.name + self._numbers(rule)
        found, step = geometry(rule), self._degree(self._degrees.get(rule))
        if not text:
            name, step = rf"\text{{{_escaped(name)}}}", step.replace(" if ", r"\text{ if }")
        if found is None:
            return [name, *["—" if text else r"\text{-}"] * 5, step]
        norm = n(found.base).text
        parts = (_product(x, n) for x in (found.left, found.right, found.hadamard))
        return [name, norm, *parts, _oracle(found) if text else rf"\text{{{_oracle(found)}}}", step]

    def text(self, width: int | None = None) -> str:
        """Return both tables, in pieces of a width, the notes and the statistics."""
        tables = [*self.methods.pieces(width), *self.verdicts.pieces(width)]
        lists = ("\n".join(_folded(lines, width)) for lines in (self.notes, self.statistics))
        return "\n\n".join([*tables, *lists])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return str(self)

    def html(self) -> str:
        """Return both tables, the notes and the statistics as HTML."""
        below = Grid(["notes"], [[x] for x in [*self.notes, *self.statistics]])
        return self.methods.html() + self.verdicts.html() + below.html()

    _repr_html_ = html

    def latex(self) -> str:
        """Return both tables as LaTeX displays, with the notes as text between them."""
        notes = "\n\n".join(_escaped(x).replace("→", r"$\to$") for x in self.notes)
        return f"{self.methods.array()}\n\n{self.verdicts.array()}\n\n{notes}\n"

    def markdown(self) -> str:
        """Return both tables, the notes and the statistics as Markdown."""
        lists = ("\n".join(f"- {x}" for x in lines) for lines in (self.notes, self.statistics))
        return "\n\n".join([self.methods.markdown(), self.verdicts.markdown(), *lists]) + "\n"


def table(
    rules: Iterable[Rule],
    remarks: Sequence[Remark] = (),
    group: Group | None = None,
    decide: Callable[[Rule], Iterable[Verdict]] | None = None,
) -> Comparison:
    """Return rules side by side, with geometry, degrees and the verdicts for every group.

    Args:
        rules: the rules. remarks: on some of them. group: the only one, if all are not wanted.
        decide: what gives the verdicts on a rule; by default they are decided anew.
    """
    verdicts: list[Verdict] = []
    for rule in rules:
        found = decide(rule) if decide else check(rule, group)
        verdicts += [found] if isinstance(found, Verdict) else found
    return Comparison(Report(tuple(verdicts)), remarks)


def _folded(lines: list[str], width: int | None) -> list[str]:
    return lines if width is None else [x for line in lines for x in wrapped(line, width)]


def _condition(answer: str) -> str:
    return answer.removeprefix("invariant ").removeprefix("if ")


def _letter(k: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[k % 26] * (1 + k // 26)


def _oracle(found: Geometry) -> str:
    return found.oracle + (", all layers" if found.layers else "")


def _product(factors: tuple[Expr, ...], n: Notation) -> str:
    return " ".join(n(x).text for x in factors) if factors else ""


def _escaped(text: str) -> str:
    return text.replace("_", r"\_")


def _defined(rule: Rule) -> list[str]:
    """Return the definitions of the names that a rule's preconditioners are written with."""
    found = geometry(rule)
    if found is None:
        return []
    n = Text(rule.labels)
    parts = (*found.left, *found.right, *found.hadamard)
    named = definitions(rule, parts)
    lines = (f"{n.symbol(name).text} ← {n.define(x).text}" for x, name in named.items())
    joined = ";  ".join(lines)
    return [f"{rule.name}: {joined}"] if joined else []
