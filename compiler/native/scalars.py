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
    """A function of entries of some arrays, as it acts on one entry of each.

    Args:
        arrays: names of the arrays. numbers: names of what is the same for all entries of a member.
        lines: what is computed, in order. stored: the arrays that change, with what they become.
    """

    arrays: tuple[str, ...]
    numbers: tuple[str, ...]
    lines: tuple[Line, ...]
    stored: tuple[tuple[str, Operand], ...]

    @property
    def read(self) -> list[str]:
        """The arrays of which entries are read."""
        used = {x for line in self.lines for x in line.operands} | {x for _, x in self.stored}
        return [name for name in self.arrays if name in used]


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
    numbers = _numbers(program)
    return traced(program.arrays, ("W", "G", *states), ("W", *states), numbers)


def traced(
    function: Callable[..., Sequence[Tensor]],
    arrays: tuple[str, ...],
    stored: Sequence[str],
    numbers: Sequence[str],
) -> Scalars:
    """Return a function of arrays and of numbers as it acts on one entry.

    The loss is one more number, and so is the slope, by which gradients are multiplied.

    Args:
        function: (W, G, *arrays, loss=, **numbers) → new values of the stored arrays.
        arrays: names of its arguments. stored: which of them, or which others, it makes.
        numbers: names of its keywords, besides the loss.

    Raises:
        NotScalarError: if there is an operation without native code.
    """
    every_number = (*_GIVEN, *numbers)

    def called(given: Sequence[Tensor], plain: Sequence[Tensor]) -> Sequence[Tensor]:
        told = dict(zip(every_number, plain, strict=True))
        W, G, *others = given
        return list(function(W, told.pop("slope") * G, *others, **told))

    entries = [torch.ones(1, 1, 1) for _ in arrays]
    plain = [torch.ones((), dtype=torch.float64) for _ in every_number]
    noted = make_fx(called)(entries, plain)
    names = (*arrays, *(f"n{k}" for k in range(len(every_number))))
    lines, results = _read(noted, names)
    pairs = zip(stored, results, strict=True)
    changed = tuple((name, new) for name, new in pairs if name != new)
    every = tuple(dict.fromkeys((*arrays, *stored)))
    return Scalars(every, every_number, _used(lines, results), changed)


def _numbers(program: Program) -> list[str]:
    """Return the names of what the program computes once for all entries."""
    hyper = {h.name: torch.tensor(0.5, dtype=torch.float64) for h in program.declaration.hyper}
    return list(program.numbers(torch.ones(1, 1, 1), t=torch.tensor(1.0), **hyper))


def _read(noted: GraphModule, names: Sequence[str]) -> tuple[list[Line], tuple[Operand, ...]]:
    """Return what was noted, line by line, and the results."""
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
    for node in noted.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(places)
        elif node.op == "output":
            results = tuple(operand(x) for x in node.args[0])
        elif node.op == "get_attr":
            known[node] = float(operator.attrgetter(node.target)(noted))
        else:
            known[node] = _written(node, [operand(x) for x in _operands(node)], put)
    return lines, results


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
    if p < 0 and (_is_simple(p) or p == -1 / 3):
        return put("div", 1.0, _power(x, -p, put))
    if p == 0.5:
        return put("sqrt", x)
    if p == 1 / 3:
        return put("cube_root", x)
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
