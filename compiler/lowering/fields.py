"""Fields: the states of a program, by name and shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterable, Mapping

import attrs

from normdsl.compiler.lowering.derive import Slot
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import Dim, Length, Rank, Shape, Size, Space


@attrs.frozen
class Field:
    """A state as the runtime sees it.

    Args:
        name: its key in the optimizer's state.
        dims: its lengths, as the symbols 1, m, n and mn, and ranks that are numbers.
        turns: whether it is the basis of a step ago, by which other states turn.
    """

    name: str
    dims: tuple[Length, Length]
    turns: bool = False

    def lengths(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return its lengths for weights of `shape`."""
        rows, cols = (
            self.dims
        )  # no `Shape` of them: what a graph is traced through makes no objects
        return _length(rows, shape), _length(cols, shape)


def lengths_of(x: Shape, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the lengths of an array for weights of `shape`."""
    return _length(x.rows, shape), _length(x.cols, shape)


def _length(dim: Length, shape: tuple[int, int]) -> int:
    if isinstance(dim, Rank):
        assert isinstance(dim.size, Constant), "rules are sized before they are lowered"
        size = dim.size.value
        return math.ceil(size * min(shape)) if dim.share else min(int(size), *shape)
    assert not isinstance(dim, Space), "the spaces of a part have a size before it is run"
    if isinstance(dim, Size):
        return dim.number
    m, n = shape
    return {Dim.ONE: 1, Dim.M: m, Dim.N: n, Dim.K: min(m, n), Dim.MN: m * n}[dim]


def state_fields(declaration: Rule, slots: Iterable[Slot]) -> tuple[Field, ...]:
    """Return the fields of states, by the author's names where there are some.

    A state that remembers a named value is called as that.
    """
    fields: list[Field] = []
    labels = declaration.labels
    taken = set(labels.values()) | {h.name for h in declaration.hyper}
    for slot in slots:
        remembered = slot.recursion.remembers(slot.index)
        name = labels.get(slot.after)
        if name is None and remembered is not None:
            name = labels.get(remembered)
        if name is None or name in {f.name for f in fields}:
            name = next(wish for k in itertools.count(1) if (wish := f"state{k}") not in taken)
        taken.add(name)
        shape = slot.init.shape
        turns = remembered is not None and remembered.is_basis
        fields.append(Field(name, (shape.rows, shape.cols), turns))
    return tuple(fields)


def kept_fields(
    declaration: Rule, kept: Iterable[Expr], names: Mapping[Expr, str], taken: set[str]
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


def unused(name: str, used: Container[str]) -> str:
    """Return a name that is not used, close to the one given."""
    while name in used:
        name += "_"
    return name
