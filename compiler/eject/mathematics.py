"""The mathematics of a rule, as the docstring of its ejected file tells it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from normdsl.compiler.invariance.groups import ALL
from normdsl.compiler.lowering.methods_used import kernels
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.verdicts.check import verdict
from normdsl.declarations.display import described
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.rule import Rule
from normdsl.show.text import Text, wrapped
from normdsl.version import __version__

_WIDTH = 96


def module_text(program: Program, seen: str, proofs: bool) -> str:
    """Return what an ejected file says of itself: formula, references, states, methods, verdicts.

    Args:
        program: of the rule. seen: how parameters are seen. proofs: whether to prove invariances,
            which takes about a second.
    """
    rule = program.declaration
    parts = [f"{rule.name}, an optimizer in plain torch.", textwrap.indent(str(rule), "    ")]
    parts += [described(rule.doc)] if rule.doc else []
    parts.append("\n".join(_states(program)))
    parts.append("\n".join(_methods(program, seen)))
    parts += ["\n".join(_proved(rule))] if proofs else []
    parts.append(f"Written by normdsl {__version__}, which it does not need.")
    return quoted("\n\n".join(parts))


def arguments_text(rule: Rule) -> str:
    """Return what a docstring says of the hyper-parameters."""
    return quoted("\n".join(f"        {_argument(h)}" for h in rule.hyper))


def summary(rule: Rule) -> str:
    """Return the first sentence about a rule, as its author wrote it."""
    first = described(rule.doc).partition("\n")[0].strip()
    return quoted(first or f"{rule.name}, in batches and in place.")


def quoted(text: str) -> str:
    """Return a text as it may stand in a docstring, followed by a line break."""
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _argument(h: Hyperparameter) -> str:
    default = "" if h.default is None else f"; default {h.default}"
    return f"{h.name}: {h.domain.in_words(h.name)}{default}."


def _states(program: Program) -> Iterator[str]:
    """Yield lines on the states: their names, shapes and, of kept values, what they are."""
    if not program.fields:
        yield "There is no state but the step count."
        return
    yield "States of a parameter m × n, beside its step count:"
    kept = dict(zip(program.kept, program.values, strict=True))
    width = max(len(f.name) for f in program.fields)
    for field in program.fields:
        shape = " × ".join(dim.value for dim in field.dims)
        told = f": the last {_formula(program, kept[field])}" if field in kept else ""
        yield f"    {field.name:<{width}}  {shape}{told}"


def _formula(program: Program, value: object) -> str:
    return Text(program.names).define(value).text


def _methods(program: Program, seen: str) -> Iterator[str]:
    """Yield lines on how it is computed."""
    yield f"Parameters are seen as {seen}. Computed by:"
    yield from (f"    {line}" for line in kernels(program))
    name = program.schedule.dtype
    yield f"in {name}." if name else "in the dtype of the parameter, float32 at least."


def _proved(rule: Rule) -> Iterator[str]:
    """Yield lines on what is proved of the rule."""
    found = [v for v in (verdict(rule, group, witnesses=False) for group in ALL) if v.proof]
    if not found:
        yield "No invariance of it is proved."
        return
    yield "Proved under changes of weights and loss (the rule's `check` has the proofs):"
    width = max(len(v.group.name) for v in found)
    for v in found:
        yield from wrapped(f"    {v.group.name:<{width}}  {v.answer}", _WIDTH, further=width + 2)
