"""The cut: which values of a step are computed on all processes, and which at an owner.

A value that is needed on the other side crosses, at a price in bytes that a process sends. The
sides for which the sum of prices is least are a minimum cut of the graph of the step, with all
processes as its source and the owner as its sink.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import attrs
import networkx

from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.compiler.sharding.placement import Axes, Held, Placement, form, placement
from normdsl.compiler.sharding.setting import Setting
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Draw, Query, Stream
from normdsl.expressions.recursion import Before

_ALL, _OWNER = "all processes", "the owner"


class NotDividedError(Exception):
    """Why a step cannot be divided, as the end of a sentence."""


@attrs.frozen(eq=False)
class Graph:
    """The arrays of a step, and which of them each is made of.

    Args:
        order: the arrays, operands first. operands: of each of them.
    """

    order: Sequence[Expr]
    operands: Mapping[Expr, Sequence[Expr]]

    def users(self) -> Mapping[Expr, Sequence[Expr]]:
        """Return for each array those that are made of it."""
        found: dict[Expr, list[Expr]] = defaultdict(list)
        for x, operands in self.operands.items():
            for y in operands:
                found[y].append(x)
        return found


def graph(
    roots: Sequence[Expr],
    given: Container[Expr],
    states: Container[Expr],
    numbers: Container[Expr],
) -> Graph:
    """Return the arrays in some expressions that depend on weights, gradient, states or draws.

    What is computed is among them, whatever it is.

    Args:
        roots: what is computed. given: what all processes have; its parts are not looked at.
        states: as they were. numbers: what is no array.
    """
    types = Types(_Either(given, states), numbers)

    def stops(x: Expr) -> bool:
        return x in given or x in numbers or isinstance(x, Query)

    depends: dict[Expr, bool] = {}
    for x in inside(roots, stops):
        own = isinstance(x, Before | Stream | Draw | Query) or x in given
        below = () if stops(x) or isinstance(x, Before) else x.children
        made = types(x) is Type.ARRAY and (own or any(depends.get(y) for y in below))
        depends[x] = made or x in roots
    order = [x for x, array in depends.items() if array]

    def operands(x: Expr) -> list[Expr]:
        if x in given or isinstance(x, Before | Query):
            return []
        return list(dict.fromkeys(y for y in x.children if depends.get(y)))

    return Graph(order, {x: operands(x) for x in order})


@attrs.frozen(eq=False)
class _Either(Container[Expr]):
    """What is in one of two collections."""

    first: Container[Expr]
    second: Container[Expr]

    def __contains__(self, x: object) -> bool:
        return x in self.first or x in self.second


@attrs.frozen(eq=False)
class Sides:
    """Where the arrays of a step are computed.

    Args:
        placements: how processes hold what each computes: of those that all compute, and, if the
            owner is a group, of those that this computes.
        owned: those that an owner computes.
    """

    placements: Mapping[Expr, Placement]
    owned: frozenset[Expr]


def sides(
    arrays: Graph,
    setting: Setting,
    given: Container[Expr],
    together: Sequence[tuple[Expr, Expr]],
    everywhere: Sequence[Expr],
    owned: Container[Expr],
    divided: Container[Expr] = (),
) -> Sides:
    """Return the sides for which least is sent.

    Args:
        arrays: of a step. setting: the weights. given: what all processes have.
        together: pairs that are on one side, as the old and the new value of a state.
        everywhere: what all processes need at the end. owned: what an owner must compute.
        divided: what all processes have from the start.

    Raises:
        NotDividedError: if an owner group cannot compute what no process can from its parts.
    """
    held = _held(arrays, given, setting.axes)
    held |= {x: None for x in arrays.order if x in owned}
    whole = Placement(Held.SAME)  # an owner alone has all that it needs
    there = _held(arrays, given, setting.within) if setting.group > 1 else {}
    net: Any = networkx.DiGraph()
    net.add_nodes_from([_ALL, _OWNER])
    users = arrays.users()
    for x in arrays.order:
        fixed = isinstance(x, Stream | Query) or x in given or x in divided
        known = held[x], there.get(x, whole)
        for edge in _edges(x, known, setting, users.get(x, ()), x in everywhere, fixed):
            _add(net, *edge)
    every = set(arrays.order)
    for x, y in together:
        if x in every and y in every:
            _add(net, x, y, None)
            _add(net, y, x, None)
    try:
        _, (_, at_owner) = networkx.minimum_cut(net, _ALL, _OWNER)
    except networkx.NetworkXUnbounded as error:
        raise NotDividedError("as what needs whole matrices cannot be divided") from error
    found = frozenset(x for x in arrays.order if x in at_owner)
    each = ((x, there.get(x) if x in found else held[x]) for x in arrays.order)
    return Sides({x: own for x, own in each if own is not None}, found)


def _held(arrays: Graph, given: Container[Expr], axes: Axes) -> dict[Expr, Placement | None]:
    """Return how processes hold arrays that each computes from its parts, cut along some axes."""
    same = Placement(Held.SAME)
    return {x: same if x in given else placement(x, axes) for x in arrays.order}


Edge = tuple[object, object, int | None]


def _edges(
    x: Expr,
    held: tuple[Placement | None, Placement | None],
    setting: Setting,
    users: Sequence[Expr],
    is_root: bool,
    fixed: bool,
) -> Iterator[Edge]:
    """Yield the edges of an array: (from, to, price), without a price where none is high enough."""
    kept, (own, there) = form(x.shape, setting.axes), held
    if there is None:
        yield _ALL, x, None
    elif there.is_reduced:
        yield _ALL, x, setting.price(x, "pooled")
    if own is None:
        yield x, _OWNER, None
    elif fixed:
        yield _ALL, x, None
    else:
        yield _ALL, x, 1  # of equals, what all processes compute: their work is even
        if own.is_reduced:
            yield x, _OWNER, setting.price(x, "summed")
    if users and own is not None and own.held is Held.PARTS:
        to_owner = ("to the owner", x)
        yield x, to_owner, setting.price(x, "gathered")
        yield from ((to_owner, user, None) for user in users)
    if (users or is_root) and not fixed:
        back = ("to all", x)
        yield back, x, setting.price(x, "scattered" if kept is Held.PARTS else "spread")
        if kept is not None:
            yield from ((user, back, None) for user in users)
            if is_root:
                yield _ALL, back, None
        else:
            yield from ((user, x, None) for user in users)


def _add(net: Any, start: object, end: object, price: int | None) -> None:
    """Add an edge; prices of edges between the same add up, and without one none can be high."""
    if price is None:
        net.add_edge(start, end)
        net[start][end].pop("capacity", None)
    elif not net.has_edge(start, end):
        net.add_edge(start, end, capacity=price)
    elif "capacity" in net[start][end]:
        net[start][end]["capacity"] += price
