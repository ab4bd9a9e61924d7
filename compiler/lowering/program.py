"""The stages of lowering, in order, and what comes out: a program with its source."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.kernels import entrywise, hopper
from normdsl.compiler.lowering.plan import Plan, planned
from normdsl.compiler.lowering.source import write
from normdsl.declarations.rule import Rule, remembered
from normdsl.schedules.schedule import Schedule

#: Functions that take a step index which is no tensor.
_OF_FLOATS = (entrywise.as_entry, entrywise.power, entrywise.one_minus_power)


@attrs.frozen(eq=False)
class Program(Plan):
    """One step of a declaration as torch code, with the plan that it follows.

    Args:
        code: the source of `init` and `step`, and of the kernels they call.
        init: (W, **hyper) → states.
        numbers: (W, t=, **hyper) → what is computed once for all entries, by name.
        renew: (W, G, *states, **numbers, loss=, phase=) → what a step keeps for some steps; None
            if that is nothing.
        arrays: (W, G, *states, *kept, **numbers, loss=) → (W, *states), with the layer's moments
            where the rule reads them.
        step: (W, G, *states, t=, loss=, **hyper) → (W, *states): all of these.
        surveys: what each layer contributes to the scalars of all layers, and then each worker to
            the means over workers.
        meets: (W, t=, **hyper) → which of these means a step needs; None if there are none.
        points: for each further evaluation of the loss, where it is, and its directions.
    """

    code: str
    init: Callable[..., tuple[Tensor, ...]]
    numbers: Callable[..., dict[str, Any]]
    renew: Callable[..., tuple[Tensor, ...]] | None
    arrays: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., tuple[Tensor, ...]]
    surveys: tuple[Callable[..., Tensor], ...]
    meets: Callable[..., tuple[bool, ...]] | None
    points: tuple[Callable[..., Sequence[Tensor]], ...]

    def source(self, shape: tuple[int, int]) -> str:
        """Return the code, headed by the shapes it has for weights of `shape`."""
        rows = [f"#   {f.name}: {' × '.join(map(str, f.lengths(shape)))}" for f in self.fields]
        head = f"# {self.declaration.name}: W, G: {shape[0]} × {shape[1]}, with any batch in front."
        states = ["# States:", *rows] if rows else ["# No state."]
        if self.draws:
            states += ["# stream: 64 bits for each parameter and step, the same on all replicas."]
            states += ["# places: the number of each entry of W in its parameter, int64."]
        return "\n".join([head, *states, "", self.code])


@remembered(maxsize=256)
def lower(declaration: Rule, schedule: Schedule, workers: bool = False) -> Program:
    """Lower a declaration: derive, simplify, emit, and load what was emitted.

    Lengths that are hyper-parameters have their defaults, unless it is sized otherwise.

    Args:
        declaration: the rule. schedule: how it is computed.
        workers: whether several workers run it; else a mean over workers is that of one.
    """
    plan = planned(declaration.sized({}), schedule, workers)
    code = write(plan)
    loaded = load(declaration.name, code)
    surveys = tuple(loaded[f"survey{k}"] for k in range(len(plan.joined)))
    points = tuple(loaded[f"point{k}"] for k in range(len(plan.phases)))
    parts = attrs.asdict(plan, recurse=False)
    functions: dict[str, Any]
    names = ("init", "numbers", "renew", "arrays", "step", "meets")
    functions = {x: loaded.get(x) for x in names}
    return Program(**parts, code=code, surveys=surveys, points=points, **functions)


def takes_floats(numbers: Callable[..., dict[str, Any]]) -> bool:
    """Return whether emitted code computes numbers of a step index that is no tensor."""
    called = {name for name in numbers.__code__.co_names if name in numbers.__globals__}
    return called <= {x.__name__ for x in _OF_FLOATS}


def load(what: str, code: str) -> dict[str, Any]:
    """Run emitted source, which imports torch and math alone, and return what it defines.

    Where quack-kernels is installed, the source's own symmetric products give way to its.
    """
    name = f"<normdsl {what} {hash(code):x}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    # No `__name__`: `torch.compile` would import a module of that name when it inlines the code.
    namespace: dict[str, Any] = {}
    exec(compile(code, name, "exec"), namespace)
    if "symmetric_product" in namespace and hopper.refusal() is None:
        namespace["symmetric_product"] = hopper.symmetric_product
    return namespace
