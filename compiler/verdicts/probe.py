"""Probes: what parts of a rule are worth along a run, step by step, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.layouts import draws
from normdsl.compiler.lowering.derive import Derivation
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.fragments import length, stream_name
from normdsl.compiler.lowering.function_text import lengths
from normdsl.compiler.lowering.plan import closed
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Source, Stream
from normdsl.expressions.ports import Axis
from normdsl.expressions.recursion import Before, State, release
from normdsl.expressions.shapes import Space
from normdsl.expressions.streams import MOMENTS
from normdsl.expressions.traversal import Rewriter, walk
from normdsl.schedules.schedule import exact

#: Arguments of what draws random numbers.
_DRAWN = ("stream=None", "places=None")
#: The weights, the gradient and the loss at a step, and by name what else a rule may read: the
#: moments of the layer, and the `ask` that answers its queries.
Seen = tuple[Tensor, Tensor, Tensor, Mapping[str, Any]]


class Alone(Rewriter):
    """Takes what layers share from the one layer there is, in many expressions."""

    def _visit(self, expr: Expr) -> Expr:
        if isinstance(expr, Before):  # an input, whatever it once was made of
            return expr
        changed = self._rebuilt(expr)
        return changed.arg if isinstance(changed, Across) else changed


def outside(declaration: Rule, expr: Expr) -> Expr:
    """Return a part of a rule as it can be evaluated: with the old states for carries."""
    states = [x for x in walk(declaration.update) if isinstance(x, State)]
    found = expr
    for recursion in sorted({s.recursion for s in states}, key=lambda r: r.level):
        if any(expr in walk(body) for body in recursion.bodies):
            found = release(found, recursion, Before)
    return found


class Probe:
    """Evaluates expressions over streams, with the states they need.

    Args:
        declaration: the rule they belong to. exprs: the expressions.
    """

    def __init__(self, declaration: Rule, exprs: Sequence[Expr]) -> None:
        derive, alone = Derivation(), Alone()
        graph = [alone(derive(x)) for x in exprs]
        self.slots = closed(derive)
        after = [alone(derive(s.after)) for s in self.slots]
        inputs: dict[Expr, str] = {s.before: f"s{k}_old" for k, s in enumerate(self.slots)}
        emitter = Emitter({}, inputs, exact)
        names = [h.name for h in declaration.hyper]
        emitter.reserve(names)
        emitter.count([*after, *graph])
        outputs = [emitter(x).text for x in [*after, *graph]]
        lines = [*self._lengths(declaration), *lengths(emitter.lines, outputs), *emitter.lines]
        self.ports = _port_streams(declaration)
        asides = [*MOMENTS.values(), *self.ports]
        streams = ["t", "loss", "ask=None", *(f"{name}=None" for name in asides), *_DRAWN]
        args = ", ".join(["W", "G", *inputs.values(), "*", *streams, *names])
        lines.append(f"return [{', '.join(outputs)}]")
        self.probe = _function(f"def probe({args})", lines, emitter)
        self.declaration = declaration

    @staticmethod
    def _lengths(declaration: Rule) -> list[str]:
        """Return the lines that tell the lengths of the parameters of a rule over several."""
        return [
            f"{', '.join(_length_name(axis) for axis in port.axes)} = {port.name}_W.shape"
            for port in declaration.ports
        ]

    def start(
        self,
        W: Tensor,
        hyper: Mapping[str, float],
        asides: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[Tensor]:
        """Return the states before the first step.

        Args:
            W: the weights. hyper: hyper-parameters. asides: of a rule over several parameters, the
                weights of each, by name.
        """
        derive, emitter = Derivation(), Emitter({}, {}, exact)
        emitter.reserve(list(hyper))
        starts = []
        for slot in self.slots:
            shape = slot.init.shape
            zeros = f"W.new_zeros(({length(shape.rows)}, {length(shape.cols)}))"
            starts.append(f"{zeros} + {emitter(derive(slot.init)).text}")
        lines = ["rows, cols = W.shape", *self._lengths(self.declaration), *emitter.lines]
        lines.append(f"return [{', '.join(starts)}]")
        head = ", ".join(["W", "*", *(f"{name}=None" for name in self.ports), *_DRAWN, *hyper])
        probe = _function(f"def probe({head})", lines, emitter)
        given = {name: asides[name] for name in self.ports}
        found: list[Tensor] = probe(W, **given, **_drawn(W, 0), **hyper)
        return found

    def run(
        self, streams: Iterable[Seen], states: Sequence[Tensor], hyper: Mapping[str, float]
    ) -> list[list[Tensor]]:
        """Return the values of the expressions at each step, from given states on."""
        history = []
        for step, seen in enumerate(streams):
            states, values = self.step(step, seen, states, hyper)
            history.append(values)
        return history

    def step(
        self, done: int, seen: Seen, states: Sequence[Tensor], hyper: Mapping[str, float]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the states after a step, and the values of the expressions at it."""
        W, G, loss, asides = seen
        t = torch.full((1, 1), done + 1.0, dtype=torch.float64)
        told = {**asides, **_drawn(W, done + 1), **hyper}
        values = self.probe(W, G, *states, t=t, loss=loss, **told)
        after = [_matrix(x, W) for x in values[: len(states)]]
        return after, [torch.as_tensor(v, dtype=torch.float64) for v in values[len(states) :]]


def _port_streams(declaration: Rule) -> list[str]:
    """Return the names of the streams of a rule over several parameters."""
    return [
        stream_name(Stream(source, port, where=None))
        for port in declaration.ports
        for source in (Source.WEIGHTS, Source.GRADIENT)
    ]


def _length_name(axis: Axis) -> str:
    return length(axis.length) if isinstance(axis.length, Space) else "_"


def _matrix(x: Any, W: Tensor) -> Tensor:
    """Return a new state as a matrix: one that is a hyper-parameter comes as a number."""
    whole = torch.as_tensor(x, dtype=W.dtype)
    return whole if whole.ndim > 1 else whole.reshape(1, 1)


def _drawn(W: Tensor, step: int) -> dict[str, Tensor]:
    """Return what random numbers are taken from: those of `nd.functional` with the seed 0."""
    clock = torch.full((), step, dtype=torch.int64)
    stream = draws.stream(draws.origin(0, "0", W.device), clock).reshape(1, 1)
    return {"stream": stream, "places": torch.arange(W.numel()).reshape(W.shape)}


def _function(head: str, lines: Sequence[str], emitter: Emitter) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"torch": torch, **emitter.kernels}
    exec(f"{head}:\n    " + "\n    ".join(lines), namespace)
    found: Callable[..., Any] = namespace["probe"]
    return found
