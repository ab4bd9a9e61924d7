"""The stages of lowering, in order, and what comes out: a program with its source."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.lowering.derive import Derivation, Slot
from normdsl.compiler.lowering.fields import Field, kept_fields, state_fields, unused
from normdsl.compiler.lowering.refresh import combined, kept_values
from normdsl.compiler.lowering.simplify import Simplification
from normdsl.compiler.lowering.source import draws, write
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across
from normdsl.schedules.schedule import Schedule

__all__ = ["Field", "Program", "closed", "lower"]


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
        draws: whether there are random numbers: functions then take the `stream` of each matrix,
            of 64 bits, b × 1 × 1, and the `places` of its entries in it, b × m × n.
        owned: names of the states that the rule has under any schedule.
        phase: name of a further argument of `step`, what to do with values that are kept between
            steps (see `refresh`); None if there are none.
    """

    declaration: Rule
    schedule: Schedule
    fields: tuple[Field, ...]
    code: str
    init: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., tuple[Tensor, ...]]
    graph: tuple[Expr, ...]
    layers: tuple[Across, ...] = ()
    surveys: tuple[Callable[..., Tensor], ...] = ()
    draws: bool = False
    phase: str | None = None
    owned: frozenset[str] = frozenset()

    def source(self, shape: tuple[int, int]) -> str:
        """Return the code, headed by the shapes it has for weights of `shape`."""
        rows = [f"#   {f.name}: {' × '.join(map(str, f.lengths(shape)))}" for f in self.fields]
        head = f"# {self.declaration.name}: W, G: {shape[0]} × {shape[1]}, with any batch in front."
        states = ["# States:", *rows] if rows else ["# No state."]
        if self.draws:
            states += ["# stream: 64 bits for each parameter and step, the same on all replicas."]
            states += ["# places: the number of each entry of W in its parameter, int64."]
        return "\n".join([head, *states, "", self.code])


#: A schedule that keeps all values that any schedule keeps.
_KEEPING = Schedule(refresh=2)


def lower(declaration: Rule, schedule: Schedule) -> Program:
    """Lower a declaration: derive, simplify, emit, and load what was emitted."""
    return _lower(declaration, declaration.names, schedule)


@lru_cache(maxsize=256)
def _lower(declaration: Rule, names: object, schedule: Schedule) -> Program:
    """Lower a declaration; equal ones with other names for their states are other programs."""
    derive, simplify = Derivation(), Simplification()
    update = simplify(derive(declaration.update))
    place = {x: k for k, x in enumerate(declaration.labels)}
    slots = sorted(closed(derive), key=lambda slot: place.get(slot.after, len(place)))
    after = [simplify(derive(slot.after)) for slot in slots]
    called = {simplify(derive(x)): name for x, name in declaration.labels.items()}
    graph = (update, *after)
    scheduled, layers = kept_values(graph, schedule), combined(graph)
    kept = [x for x in scheduled if x not in after]
    fields = state_fields(declaration, slots)
    names = {f.name for f in fields}
    most = [x for x in kept_values(graph, _KEEPING) if x not in after]
    owned = kept_fields(declaration, most, called, names)
    fields += kept_fields(declaration, kept, called, names)
    phase = unused("phase", {h.name for h in declaration.hyper}) if scheduled else None
    code = write(declaration, schedule, slots, fields, graph, layers, called, kept, phase)
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
        draws(slots, graph),
        phase,
        frozenset(f.name for f in (*fields, *owned)),
    )


def closed(derive: Derivation) -> list[Slot]:
    """Return all states, including those met only inside the new values of others."""
    done = 0
    while done < len(derive.slots):
        done = len(derive.slots)
        for slot in list(derive.slots.values()):
            derive(slot.after)
    return list(derive.slots.values())


def _load(declaration: Rule, code: str) -> dict[str, Any]:
    """Run the emitted source; it imports torch alone."""
    name = f"<normdsl {declaration.name} {hash(code):x}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    # No `__name__`: `torch.compile` would import a module of that name when it inlines the code.
    namespace: dict[str, Any] = {}
    exec(compile(code, name, "exec"), namespace)
    return namespace
