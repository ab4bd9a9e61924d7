"""Rules over several parameters, run on one row of numbers that holds the entries of all of them.

So problems, disturbances and distances are those of a single matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.invariance.witness import SHARED
from normdsl.compiler.lowering.fragments import stream_name
from normdsl.compiler.verdicts.probe import Probe
from normdsl.declarations.rule import Rule
from normdsl.expressions.nodes import Source, Stream, next_weights
from normdsl.expressions.ports import Port, shapes, sizes
from normdsl.expressions.shapes import Space


@attrs.frozen
class Packing:
    """How the entries of several parameters stand in one row.

    Args:
        ports: the parameters. sizes: the dimensions of their spaces.
    """

    ports: tuple[Port, ...]
    sizes: Mapping[Space, int] = attrs.field(hash=False)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each parameter."""
        return shapes(self.ports, self.sizes)

    @property
    def total(self) -> int:
        """How many entries they have."""
        return sum(m * n for m, n in self.shapes)

    def split(self, row: Tensor) -> list[Tensor]:
        """Return the parameters whose entries stand in a row."""
        counts = [m * n for m, n in self.shapes]
        parts = torch.split(row.reshape(-1), counts)
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the row of the entries of parameters."""
        return torch.cat([part.reshape(1, -1) for part in parts], 1)


def packing(ports: tuple[Port, ...], shape: tuple[int, int]) -> Packing:
    """Return how the entries of parameters stand in one row, if they are as large as that says."""
    return Packing(ports, sizes(ports, shape, SHARED))


class Jointly:
    """A rule over several parameters as a pure function of the row of their entries.

    Args:
        declaration: the rule. packing: how their entries stand in the row.
    """

    evaluated = None

    def __init__(self, declaration: Rule, packing: Packing) -> None:
        update: Any = next_weights(declaration.update)
        self.packing = packing
        self.probe = Probe(declaration, update.weights)
        names = declaration.labels
        self.names = [names.get(s.after, f"state{k}") for k, s in enumerate(self.probe.slots)]

    def streams(self, w: Tensor, grad: Tensor) -> dict[str, Tensor]:
        """Return the weights and gradients of each parameter, by the names that code has them."""
        found = {}
        for source, row in ((Source.WEIGHTS, w), (Source.GRADIENT, grad)):
            for port, x in zip(self.packing.ports, self.packing.split(row), strict=True):
                found[stream_name(Stream(source, port, where=None))] = x
        return found

    def init(self, w: Tensor, **hyper: Any) -> dict[str, Tensor]:
        """Return the states before the first step, and how many were taken."""
        begun = self.probe.start(w, hyper, self.streams(w, torch.zeros_like(w)))
        return {**dict(zip(self.names, begun, strict=True)), "step": torch.zeros(())}

    def update(
        self, grad: Tensor, state: Mapping[str, Tensor], w: Tensor, *, loss: Tensor, **hyper: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the entries of all parameters, and the states, after a step."""
        done = int(state["step"])
        held = [state[name] for name in self.names]
        seen = (w, grad, loss, self.streams(w, grad))
        after, values = self.probe.step(done, seen, held, hyper)
        new = {**dict(zip(self.names, after, strict=True)), "step": torch.full((), done + 1.0)}
        return self.packing.join(values), new
