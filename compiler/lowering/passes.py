"""Passes: a rule after each stage of its lowering, in order, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from normdsl.compiler.lowering.emit import uses
from normdsl.compiler.lowering.methods_used import kernels
from normdsl.compiler.lowering.plan import Rewriting
from normdsl.compiler.lowering.powers import together
from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.rewrites import Rewrite, RewritingPass
from normdsl.compiler.lowering.source import numbers_of, parts
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.products import Transpose
from normdsl.schedules.schedule import Schedule
from normdsl.show.page import Shown, folded, preformatted
from normdsl.show.text import Text, wrapped
from normdsl.source import located

#: The most examples of one identity that are shown.
_EXAMPLES = 3
Names = Mapping[Expr, str]


@attrs.frozen(repr=False)
class Stage(Shown):
    """What a pass makes of a rule.

    Args:
        name: of the pass. does: what it does, in words.
        lines: what it found and what the rule is afterwards, as text.
        rewrites: what it replaced by what, if it rewrites.
    """

    name: str
    does: str
    lines: Sequence[str]
    rewrites: Sequence[Rewrite] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.does}", *(self.lines or ["  nothing"])])


@attrs.frozen(repr=False)
class Passes:
    """A rule after each pass of its lowering; a pass is found by its name, `passes["simplify"]`.

    Args:
        rule: the rule. stages: what each pass makes of it, in order.
    """

    rule: Rule
    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __getitem__(self, name: str) -> Stage:
        return {stage.name: stage for stage in self.stages}[name]

    def __str__(self) -> str:
        return "\n\n".join([str(self.rule), *map(str, self.stages)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        each = (
            folded(f"{s.name}: {s.does}", preformatted("\n".join(s.lines) or "nothing"))
            for s in self.stages
        )
        return preformatted(str(self.rule)) + "".join(each)


def passes(rule: Rule, schedule: Schedule) -> Passes:
    """Return a rule after each pass: those that rewrite it, then what is decided about it.

    Lengths that are hyper-parameters have their defaults.
    """
    rule = rule.sized({})
    rewriting = [_rewritten(rule, k) for k in range(len(Rewriting().passes))]
    program = lower(rule, schedule)
    decided = [Stage(name, does, tuple(found(program))) for name, does, found in DECISIONS]
    return Passes(rule, (*rewriting, *decided))


def _rewritten(rule: Rule, number: int) -> Stage:
    """Return what the passes up to one that rewrites make of a rule."""
    rewrite = Rewriting(number + 1)
    now = rewrite.passes[number]
    with located(None):  # what is made for printing was written nowhere
        lines = [(name, rewrite(x)) for x, name in rule.labels.items()]
        lines.append(("W", rewrite(rule.weights)))
        names = {**rule.labels, **{x: name for name, x in lines[:-1]}}
        told = [*_identities(now, names), *_program(lines, names)]
    return Stage(now.name, now.does, told, tuple(now.used))


def _identities(now: RewritingPass, names: Names) -> Iterator[str]:
    """Yield lines on the identities that a pass used, each with a few examples."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for x in now.used:
        examples, sides = found.setdefault((x.name, x.identity), {}), (x.before, x.after)
        before, after = (_formula(side, names) for side in sides)
        if before != after:  # brackets alone may have moved
            examples[f"{before} = {after}"] = None
    for (name, identity), examples in found.items():
        yield from wrapped(f"  {name}: {identity}")
        for example in [*examples][:_EXAMPLES]:
            yield from wrapped(f"    {example}")
        if len(examples) > _EXAMPLES:
            yield f"    and {len(examples) - _EXAMPLES} more"


def _program(lines: Sequence[tuple[str, Expr]], names: Names) -> Iterator[str]:
    """Yield the lines of a step, a definition each, the new weights last."""
    written = [(Text().symbol(name).text, Text(names).define(x).text) for name, x in lines]
    width = max(len(name) for name, _ in written)
    for name, formula in written:
        yield from wrapped(f"  {name:<{width}} ← {formula}", further=width + 3)


def _formula(expr: Expr, names: Names) -> str:
    return Text(names).define(expr).text


def _shared(program: Program) -> Iterator[str]:
    """Yield what is computed once: arrays that are used twice, eigenvalues for several powers."""
    numbers = numbers_of(program)
    given = {*numbers, *program.layers, *(slot.before for slot in program.slots)}
    types = Types(given - {*numbers}, numbers)
    counted = uses(program.graph, given)
    for x in inside(program.graph, lambda x: x in given):
        compound = x.children and x not in given and not isinstance(x, Transpose)
        if compound and counted[x] > 1 and types(x) is Type.ARRAY:
            yield from wrapped(f"  {_formula(x, _names(program))}, used {counted[x]} times")
    found = inside(program.graph)
    for x in found:
        alike = together(x, found, program.schedule)
        if len(alike) > 1 and alike[0] == x:
            powers = ", ".join(_formula(y, _names(program)) for y in alike)
            yield from wrapped(f"  {powers}: by S^p = Q Λ^p Qᵀ of one eigendecomposition")


def _numbers(program: Program) -> Iterator[str]:
    """Yield what is a number, the same for all entries."""
    for x, name in numbers_of(program).items():
        if x.children:
            yield from wrapped(f"  {name} = {_formula(x, _names(program))}")


def _methods(program: Program) -> Iterator[str]:
    """Yield the methods, and what is kept between steps."""
    yield from (f"  {line}" for line in kernels(program))
    for field, value in zip(program.kept, program.values, strict=True):
        yield from wrapped(f"  {field.name} keeps {_formula(value, _names(program))}")


def _code(program: Program) -> Iterator[str]:
    """Yield the lines of what computes the arrays of a step, kept ones apart."""
    written = parts(program)
    code = "\n".join(written[name] for name in ("renew", "arrays") if name in written)
    yield from (f"  {line}".rstrip() for line in code.splitlines())


def _names(program: Program) -> dict[Expr, str]:
    return {**program.declaration.labels, **program.names}


#: What is decided about a step once it is rewritten, in order: a name, words, and what was found.
DECISIONS: tuple[tuple[str, str, Callable[[Program], Iterable[Any]]], ...] = (
    ("share", "what is used more than once is computed once", _shared),
    ("numbers", "what no array is read for is computed once for all entries", _numbers),
    ("schedule", "a method for each operation, and what is kept between steps", _methods),
    ("emit", "torch", _code),
)
