"""Scalars: an entry-wise program as it acts on one entry, a line for each operation.

It is found by running the emitted code on tensors that note what is done to them, so that it means
what that code means.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from normdsl.compiler.lowering.program import Program
from normdsl.compiler.native.operations import OPERATIONS

Operand = str | float
#: What programs step from besides their numbers: the loss, and −1 to maximise, otherwise 1.
_GIVEN = ("loss", "slope")
#: Of torch's operations on entries those that change their arrangement or their dtype alone.
_COPIES = {"_to_copy", "alias", "clone", "detach", "expand", "lift_fresh_copy", "reshape", "view"}
#: Powers up to this one are products.
_MOST = 8


@attrs.frozen
class Line:
    """A scalar: an operation on scalars before it.

    Args:
        name: of the scalar. operation: what is computed, a key of `OPERATIONS`.
        operands: names, or numbers.
    """

    name: str
    operation: str
    operands: tuple[Operand, ...]


@attrs.frozen
class Scalars:
    """An entry-wise program, as it acts on one entry.

    Args:
        states: names of an entry's states. numbers: names of what is the same for all entries.
        lines: what is computed, in order. results: the new weight and the new states.
    """

    states: tuple[str, ...]
    numbers: tuple[str, ...]
    lines: tuple[Line, ...]
    results: tuple[Operand, ...]

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of what an entry has: its weight, its gradient, its states."""
        return ("W", "G", *self.states)

    @property
    def stored(self) -> list[tuple[str, Operand]]:
        """The arrays that change, with the scalars that they become."""
        pairs = zip(("W", *self.states), self.results, strict=True)
        return [(name, new) for name, new in pairs if name != new]


class NotScalarError(Exception):
    """Raised for a program that does something to entries for which there is no native code."""


@lru_cache(maxsize=256)
def scalars(program: Program) -> Scalars:
    """Return an entry-wise program as it acts on one entry.

    Args:
        program: whose entries depend on their own past alone.

    Raises:
        NotScalarError: if there is an operation without native code.
    """
    states = tuple(f"S{k}" for k in range(len(program.fields)))
    numbers = (*_GIVEN, *_numbers(program))

    def entry(W: Tensor, G: Tensor, states: Sequence[Tensor], *given: Tensor) -> Sequence[Tensor]:
        told = dict(zip(numbers, given, strict=True))
        return program.arrays(W, told.pop("slope") * G, *states, **told)

    W, G, *old = (torch.ones(1, 1, 1) for _ in range(2 + len(states)))
    plain = [torch.ones((), dtype=torch.float64) for _ in numbers]
    traced = make_fx(entry)(W, G, old, *plain)
    names = ("W", "G", *states, *(f"n{k}" for k in range(len(numbers))))
    return _read(traced, names, states, numbers)


def _numbers(program: Program) -> list[str]:
    """Return the names of what the program computes once for all entries."""
    hyper = {h.name: torch.tensor(0.5, dtype=torch.float64) for h in program.declaration.hyper}
    return list(program.numbers(torch.ones(1, 1, 1), t=torch.tensor(1.0), **hyper))


def _read(
    traced: GraphModule, names: Sequence[str], states: tuple[str, ...], numbers: tuple[str, ...]
) -> Scalars:
    """Return what was noted, line by line."""
    known: dict[Node, Operand] = {}
    lines: list[Line] = []

    def put(operation: str, *operands: Operand) -> str:
        name = f"x{len(lines)}"
        lines.append(Line(name, operation, operands))
        return name

    def operand(x: Any) -> Operand:
        return known[x] if isinstance(x, Node) else float(x)

    places = iter(names)
    results: tuple[Operand, ...] = ()
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(places)
        elif node.op == "output":
            results = tuple(operand(x) for x in node.args[0])
        elif node.op == "get_attr":
            known[node] = float(operator.attrgetter(node.target)(traced))
        else:
            known[node] = _written(node, [operand(x) for x in _operands(node)], put)
    return Scalars(states, numbers, _used(lines, results), results)


def _operands(node: Node) -> list[Any]:
    """Return the tensors and numbers on which an operation acts."""
    return [x for x in node.args if isinstance(x, Node | int | float)]


def _written(node: Node, given: Sequence[Operand], put: Callable[..., str]) -> Operand:
    """Write an operation of torch, and return its result."""
    target = node.target
    name = target._schema.name.split("::")[-1] if hasattr(target, "_schema") else str(target)
    if name == "scalar_tensor" or name in _COPIES:
        return given[0]
    if name == "reciprocal":
        return put("div", 1.0, given[0])
    if name == "mul" and 1.0 in given:
        return given[1] if given[0] == 1.0 else given[0]
    if name == "pow" and isinstance(given[1], float):
        return _power(given[0], given[1], put)
    if name not in OPERATIONS or node.kwargs:
        raise NotScalarError(f"there is no native code for {target}")
    return put(name, *given)


def _power(x: Operand, p: float, put: Callable[..., str]) -> Operand:
    """Write x^p, with products and square roots for the p for which torch has them."""
    if p < 0 and _is_simple(p):
        return put("div", 1.0, _power(x, -p, put))
    if p == 0.5:
        return put("sqrt", x)
    if not _is_simple(p):
        return put("pow", x, p)
    found = x
    for _ in range(int(p) - 1):
        found = put("mul", found, x)
    return found


def _is_simple(p: float) -> bool:
    return abs(p) == 0.5 or (p in range(-_MOST, _MOST + 1) and p != 0)


def _used(lines: Sequence[Line], results: Sequence[Operand]) -> tuple[Line, ...]:
    """Return the lines on which the results rest."""
    needed, kept = set(results), []
    for line in reversed(lines):
        if line.name in needed:
            needed |= set(line.operands)
            kept.append(line)
    return tuple(reversed(kept))
