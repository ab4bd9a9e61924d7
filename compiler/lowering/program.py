"""The stages of lowering, in order, and what comes out: a program with its source."""

from __future__ import annotations

import inspect
import itertools
import linecache
import re
import textwrap
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.lowering.derive import Derivation, Slot
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.methods import with_helpers
from normdsl.compiler.lowering.refresh import collect, kept_values
from normdsl.compiler.lowering.simplify import Simplification
from normdsl.declaration import Declaration
from normdsl.expr import Constant, Expr, is_constant
from normdsl.nodes import Across
from normdsl.schedule import Schedule
from normdsl.shapes import Dim

_ZERO = Constant(Fraction(0), where=None)


@attrs.frozen
class Field:
    """A state as the runtime sees it.

    Args:
        name: its key in the optimizer's state. dims: its lengths, as the symbols 1, m and n.
    """

    name: str
    dims: tuple[Dim, Dim]

    def lengths(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return its lengths for weights of `shape`."""
        size = {Dim.ONE: 1, Dim.M: shape[0], Dim.N: shape[1]}
        return size[self.dims[0]], size[self.dims[1]]


@attrs.frozen(eq=False)
class Program:
    """One step of a declaration as torch code.

    Args:
        declaration: what was lowered. schedule: how. fields: the states, in order.
        code: the source of `init` and `step`, and of the kernels they call.
        init: (W, **hyper) → states. step: (W, G, *states, t=, loss=, **hyper) → (W, *states),
            with the layer's moments where the rule reads them.
        graph: the primitive expressions of the new weights and states, for inspection.
        layers: the scalars that the step combines over all layers, in the order in which they are
            found: each survey takes the arguments of `step` and those found before, as `layers`,
            with what this layer had contributed to them, as `own`.
        surveys: what each layer contributes to them.
        phase: name of a further argument of `step`, what to do with values that are kept between
            steps (see `refresh`); None if there are none.
    """

    declaration: Declaration
    schedule: Schedule
    fields: tuple[Field, ...]
    code: str
    init: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., tuple[Tensor, ...]]
    graph: tuple[Expr, ...]
    layers: tuple[Across, ...] = ()
    surveys: tuple[Callable[..., Tensor], ...] = ()
    phase: str | None = None

    def source(self, shape: tuple[int, int]) -> str:
        """Return the code, headed by the shapes it has for weights of `shape`."""
        rows = [f"#   {f.name}: {' × '.join(map(str, f.lengths(shape)))}" for f in self.fields]
        head = f"# {self.declaration.name}: W, G: {shape[0]} × {shape[1]}, with any batch in front."
        states = ["# States:", *rows] if rows else ["# No state."]
        return "\n".join([head, *states, "", self.code])


@lru_cache(maxsize=256)
def lower(declaration: Declaration, schedule: Schedule) -> Program:
    """Lower a declaration: derive, simplify, emit, and load what was emitted."""
    derive, simplify = Derivation(), Simplification()
    update = simplify(derive(declaration.update))
    place = {x: k for k, x in enumerate(declaration.labels)}
    slots = sorted(_closed(derive), key=lambda slot: place.get(slot.after, len(place)))
    after = [simplify(derive(slot.after)) for slot in slots]
    names = {simplify(derive(x)): name for x, name in declaration.labels.items()}
    graph = (update, *after)
    kept, layers = kept_values(graph, schedule), _combined(graph)
    fields = _fields(declaration, slots)
    fields += _kept_fields(declaration, kept, names, {f.name for f in fields})
    phase = _unused("phase", {h.name for h in declaration.hyper}) if kept else None
    code = _emit(declaration, schedule, slots, fields, graph, layers, names, kept, phase)
    loaded = _load(declaration, code)
    return Program(
        declaration,
        schedule,
        fields,
        code,
        loaded["init"],
        loaded["step"],
        graph,
        layers,
        tuple(loaded[f"survey{k}"] for k in range(len(layers))),
        phase,
    )


def _combined(graph: Iterable[Expr]) -> tuple[Across, ...]:
    """Return the scalars combined over layers, each after those it depends on."""
    order: dict[Expr, None] = {}
    for root in graph:
        collect(root, order)
    return tuple(x for x in order if isinstance(x, Across))


def _closed(derive: Derivation) -> list[Slot]:
    """Return all states, including those met only inside the new values of others."""
    done = 0
    while done < len(derive.slots):
        done = len(derive.slots)
        for slot in list(derive.slots.values()):
            derive(slot.after)
    return list(derive.slots.values())


def _fields(declaration: Declaration, slots: Iterable[Slot]) -> tuple[Field, ...]:
    fields: list[Field] = []
    labels = declaration.labels
    taken = set(labels.values()) | {h.name for h in declaration.hyper}
    for slot in slots:
        name = labels.get(slot.after) or next(
            wish for k in itertools.count(1) if (wish := f"state{k}") not in taken
        )
        taken.add(name)
        shape = slot.init.shape
        fields.append(Field(name, (shape.rows, shape.cols)))
    return tuple(fields)


def _kept_fields(
    declaration: Declaration, kept: Iterable[Expr], names: Mapping[Expr, str], taken: set[str]
) -> tuple[Field, ...]:
    """Return the states that hold kept values, by the author's name where that is free."""
    fields: list[Field] = []
    taken = taken | {h.name for h in declaration.hyper}
    for expr in kept:
        free = (f"kept{k}" for k in itertools.count(1) if f"kept{k}" not in taken)
        name = names.get(expr, next(free))
        name = next(free) if name in taken else name
        taken.add(name)
        fields.append(Field(name, (expr.shape.rows, expr.shape.cols)))
    return tuple(fields)


def _unused(name: str, used: Container[str]) -> str:
    while name in used:
        name += "_"
    return name


def _emit(
    declaration: Declaration,
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
    star = ", *" + hyper if hyper else ""
    kernels: dict[Callable[..., object], None] = {}
    init = _emit_init(declaration, schedule, slots, fields, star, kernels)
    used = {h.name for h in declaration.hyper} | {f.name for f in fields}
    olds: list[str] = []
    for field in fields:
        olds.append(_unused(f"{field.name}_old", used))
        used.add(olds[-1])
    inputs: dict[Expr, str] = {s.before: x for s, x in zip(slots, olds, strict=False)}
    last = dict(zip(kept, olds[len(slots) :], strict=True))

    def function(
        name: str,
        what: str,
        roots: Sequence[tuple[Expr, str | None]],
        found: Sequence[Across],
        kept: Sequence[Expr] = (),
    ) -> str:
        emitter = Emitter(names, {**inputs, **_shared(found)}, schedule, last, phase or "")
        emitter.reserve([h.name for h in declaration.hyper])
        emitter.count([x for x, _ in roots])
        results = [emitter.value(x, wish) for x, wish in roots]
        results.insert(0, results.pop())
        results += [emitter.value(x) for x in kept]
        body = [*_lengths(emitter.lines, results), *emitter.lines, _returned(results)]
        kernels.update(dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k)))
        args = ", ".join(["W", "G", *olds])
        known = "".join(f", {name}=None" for name in declaration.moments)
        known += ", layers=(), own=()" if layers else ""
        known += f", {phase}" if phase else ""
        return _function(f"def {name}({args}, *, t, loss=None{known}{hyper}):", what, body)

    update, *after = graph
    steps = [
        function(f"survey{k}", f"What a layer adds to layers[{k}]", [(x.arg, "x")], layers[:k])
        for k, x in enumerate(layers)
    ]
    roots = [*((x, names.get(x)) for x in after), (update, "W_new")]
    steps.append(function("step", f"One step of {declaration.name}", roots, layers, kept))
    head = "from __future__ import annotations\n\nimport torch\nfrom torch import Tensor\n"
    pasted = [textwrap.dedent(inspect.getsource(k)).rstrip() + "\n" for k in kernels]
    return "\n\n".join([head, *pasted, init, *steps])


def _shared(found: Sequence[Across]) -> dict[Expr, str]:
    """Return the code of scalars of all layers, and of what this layer contributed to each.

    A contribution is not computed again: a layer that holds the maximum must find itself equal to
    it, bit by bit.
    """
    own = {x.arg: f"own[{k}]" for k, x in enumerate(found) if x.arg.children}
    return {**own, **{x: f"layers[{k}]" for k, x in enumerate(found)}}


def _emit_init(
    declaration: Declaration,
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
        emitter.lines.append(f"{field.name} = {code}")
        results.append(field.name)
    kernels.update(dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k)))
    unpack = ["*batch, rows, cols = W.shape"] if slots else []
    body = [*unpack, *emitter.lines, _returned(results)]
    return _function(f"def init(W{star}):", f"Initial states of {declaration.name}", body)


def _lengths(lines: list[str], results: list[str]) -> list[str]:
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


def _load(declaration: Declaration, code: str) -> dict[str, Any]:
    """Run the emitted source; it imports torch alone."""
    name = f"<normdsl {declaration.name} {hash(code):x}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(code, name, "exec"), namespace)
    return namespace
