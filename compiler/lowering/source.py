"""Source: the text of `init`, of `step` and its surveys, and of the kernels they call."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from normdsl.compiler.lowering.derive import Derivation, Slot
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.fields import Field, unused
from normdsl.compiler.lowering.kernel_calls import with_helpers
from normdsl.compiler.lowering.refresh import combined, inside, is_scheduled
from normdsl.compiler.lowering.simplify import Simplification
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Constant, Expr, is_constant
from normdsl.expressions.nodes import Across, Draw
from normdsl.expressions.shapes import Dim
from normdsl.schedules.schedule import Schedule

_ZERO = Constant(Fraction(0), where=None)


def draws(slots: Iterable[Slot], graph: Iterable[Expr]) -> bool:
    """Return whether the states of a rule or its derived step read random numbers."""
    return any(isinstance(x, Draw) for x in inside([*graph, *(slot.init for slot in slots)]))


def write(
    declaration: Rule,
    schedule: Schedule,
    slots: list[Slot],
    fields: tuple[Field, ...],
    graph: tuple[Expr, ...],
    layers: tuple[Across, ...],
    names: Mapping[Expr, str],
    kept: Sequence[Expr],
    phase: str | None,
) -> str:
    """Return the source of `init`, of `step` and its surveys, and of the kernels they call."""
    hyper = "".join(f", {h.name}" for h in declaration.hyper)
    drawn = ", stream=None, places=None" if draws(slots, graph) else ""
    star = ", *" + drawn + hyper if drawn or hyper else ""
    kernels: dict[Callable[..., object], None] = {}
    init = _emit_init(declaration, schedule, slots, fields, star, kernels)
    used = {h.name for h in declaration.hyper} | {f.name for f in fields}
    olds: list[str] = []
    for field in fields:
        olds.append(unused(f"{field.name}_old", used))
        used.add(olds[-1])
    inputs: dict[Expr, str] = {s.before: x for s, x in zip(slots, olds, strict=False)}
    # A kept value that a state remembers anyway has its last value there.
    held = zip([*graph[1:], *kept], olds, strict=True)
    last = {x: old for x, old in held if is_scheduled(x, schedule)}

    def function(
        name: str,
        what: str,
        roots: Sequence[tuple[Expr, str | None]],
        found: Mapping[int, Across],
        kept: Sequence[Expr] = (),
    ) -> str:
        given = {**inputs, **_shared(found)}
        emitter = Emitter(names, given, schedule, last, phase or "")
        emitter.reserve([h.name for h in declaration.hyper])
        emitter.count([x for x, _ in roots])
        results = [emitter.value(x, wish) for x, wish in roots]
        results.insert(0, results.pop())
        results += [emitter.value(x) for x in kept]
        body = [*lengths(emitter.lines, results), *emitter.lines, _returned(results)]
        kernels.update(dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k)))
        args = ", ".join(["W", "G", *olds])
        known = "".join(f", {name}=None" for name in declaration.moments)
        known += ", layers=(), own=()" if layers else ""
        known += drawn
        known += f", {phase}" if phase else ""
        return _function(f"def {name}({args}, *, t, loss=None{known}{hyper}):", what, body)

    everywhere = dict(enumerate(layers))
    place = {x: k for k, x in everywhere.items()}
    update, *after = graph
    steps = [
        function(
            f"survey{k}",
            f"What a layer adds to layers[{k}]",
            [(x.arg, "x")],
            {place[y]: y for y in combined([x.arg])},
        )
        for k, x in everywhere.items()
    ]
    roots = [*((x, names.get(x)) for x in after), (update, "W_new")]
    steps.append(function("step", f"One step of {declaration.name}", roots, everywhere, kept))
    _require_no_clash(declaration, kernels)
    head = "from __future__ import annotations\n\nimport torch\nfrom torch import Tensor\n"
    pasted = [textwrap.dedent(inspect.getsource(k)).rstrip() + "\n" for k in kernels]
    return "\n\n".join([head, *pasted, init, *steps])


def _require_no_clash(declaration: Rule, kernels: Iterable[Callable[..., object]]) -> None:
    """Refuse a hyper-parameter called like a function that the code calls: it would hide it."""
    called = {k.__name__ for k in kernels}
    for h in declaration.hyper:
        if h.name in called:
            raise DeclarationError(
                f"lower {declaration.name} to torch",
                why=f"its hyper-parameter {h.name} is called like a function of the emitted code",
                hint="give the hyper-parameter another name",
            )


def _shared(found: Mapping[int, Across]) -> dict[Expr, str]:
    """Return the code of scalars of all layers, and of what this layer contributed to each.

    A contribution is not computed again: a layer that holds the maximum must find itself equal to
    it, bit by bit.
    """
    own = {x.arg: f"own[{k}]" for k, x in found.items() if x.arg.children}
    return {**own, **{x: f"layers[{k}]" for k, x in found.items()}}


def _emit_init(
    declaration: Rule,
    schedule: Schedule,
    slots: list[Slot],
    fields: tuple[Field, ...],
    star: str,
    kernels: dict[Callable[..., object], None],
) -> str:
    """Return the source of `init`, and add the kernels it calls."""
    simplify, derive = Simplification(), Derivation()
    starts = [simplify(derive(s.init)) for s in slots]
    starts += [_ZERO] * (len(fields) - len(slots))
    emitter = Emitter({}, {}, schedule)
    emitter.reserve([h.name for h in declaration.hyper])
    length = {Dim.ONE: "1", Dim.M: "rows", Dim.N: "cols"}
    results = []
    for field, start in zip(fields, starts, strict=True):
        rows, cols = (length[d] for d in field.dims)
        code = f"W.new_zeros((*batch, {rows}, {cols}))"
        if not is_constant(start, 0):
            code += f" + {emitter(start).text}"
        results.append(emitter.variable(field.name))
        emitter.lines.append(f"{results[-1]} = {code}")
    kernels.update(dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k)))
    unpack = ["*batch, rows, cols = W.shape"] if slots else []
    body = [*unpack, *emitter.lines, _returned(results)]
    return _function(f"def init(W{star}):", f"Initial states of {declaration.name}", body)


def lengths(lines: list[str], results: list[str]) -> list[str]:
    """Return the line that unpacks rows and columns, if the code needs it."""
    needed = re.search(r"\b(rows|cols)\b", "\n".join([*lines, *results]))
    return ["rows, cols = W.shape[-2:]"] if needed else []


def _returned(results: list[str]) -> str:
    return (
        f"return {', '.join(results)}"
        if len(results) > 1
        else f"return ({''.join(r + ',' for r in results)})"
    )


def _function(head: str, what: str, body: list[str]) -> str:
    lines = [f'"""{what}."""', *body]
    return head + "\n" + "\n".join("    " + line for line in lines) + "\n"
