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
import torch

from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.compiler.sharding.placement import Axes, Held, Placement, form, placement
from normdsl.errors import HyperparameterError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Draw, Stream
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import Dim, are_lengths
from normdsl.near import did_you_mean
from normdsl.schedules.schedule import Schedule

_ALL, _OWNER = "all processes", "the owner"


@attrs.frozen
class Setting:
    """For which weights a step is divided, and among how many.

    Args:
        shape: rows and columns of W. axes: which of them are cut. processes: that hold W.
        replicas: how many times they hold all of W. number: bytes of a number of the step.
        wire: bytes of one where it may travel in fewer.
    """

    shape: tuple[int, int]
    axes: Axes
    processes: int
    replicas: int = 1
    number: int = 4
    wire: int = 4

    @property
    def parts(self) -> int:
        """Among how many processes one copy of W is divided."""
        return self.processes // self.replicas

    def sends(self, kind: str) -> float:
        """Return how often a process sends a value, on average over processes and owners.

        What an owner scatters goes to the processes of its replica, and from each of these along
        the replicas, as a sum with zeros: what it sends has a bound that they do not raise.

        Args:
            kind: how it crosses, see `KINDS` of `rounds`.
        """
        near, along = _ring(self.parts), _ring(self.replicas)
        moved = near / 2 / self.processes
        if kind == "scattered":
            return moved + along / self.parts
        return {"gathered": moved, "spread": near + along}.get(kind, near)

    def bytes_of(self, x: Expr, kind: str) -> int:
        """Return the bytes of all of a value that crosses."""
        rows, cols = lengths_of(x.shape, self.shape)
        return rows * cols * (self.wire if may_round(x, kind) else self.number)

    def price(self, x: Expr, kind: str) -> int:
        """Return the bytes that a process sends if a value crosses, at least one."""
        return max(1, int(self.sends(kind) * self.bytes_of(x, kind)))


def may_round(x: Expr, kind: str) -> bool:
    """Return whether a value may travel in another dtype than that of the step.

    Parts of matrices may. Sums would be computed in it, on their way. What depends on the weights
    would lose a step that is small beside them.
    """
    return kind in ("gathered", "scattered") and Origin.WEIGHTS not in x.origins


def wire_bytes(schedule: Schedule, number: int) -> int:
    """Return the bytes of a number that may be rounded on its way, of so many in the step."""
    wire = schedule.wire
    return number if wire is None else min(number, int(getattr(torch, wire).itemsize))


def _ring(count: int) -> float:
    """Return how often a process of some sends what these sum: it is reduced, then gathered."""
    return 2 * (count - 1) / count


_CUTS = {
    "rows": frozenset({Dim.M}),
    "cols": frozenset({Dim.N}),
    "both": frozenset({Dim.M, Dim.N}),
    "none": frozenset[Dim](),
}


def setting_of(
    shape: tuple[int, int],
    processes: int,
    cut: str,
    replicas: int | None = None,
    schedule: Schedule | None = None,
) -> Setting:
    """Return for which weights a step is divided, in a user's words; in float32 if it may be.

    Raises:
        HyperparameterError: for what is no cut, no shape, or no number of processes or replicas.
    """
    asked = f"plan a step of processes={processes!r}, cut={cut!r}, shape={shape!r}"
    if cut not in _CUTS:
        raise HyperparameterError(
            asked, why="there is no such cut", hint=did_you_mean(cut, _CUTS, "there are")
        )
    if not are_lengths(shape) or not isinstance(processes, int) or processes < 1:
        raise HyperparameterError(
            asked,
            why="a matrix has two positive lengths, and one process or more hold it",
            hint="say shape=(512, 2048), processes=8",
        )
    copies = (1 if _CUTS[cut] else processes) if replicas is None else replicas
    if not isinstance(copies, int) or copies < 1 or processes % copies:
        raise HyperparameterError(
            f"{asked}, replicas={replicas!r}",
            why="replicas are equally many processes each, which together have all of the matrix",
            hint=f"say a number that divides processes={processes}",
        )
    if not _CUTS[cut] and copies != processes:
        raise HyperparameterError(
            f"{asked}, replicas={replicas!r}",
            why="where nothing is cut each process has all of the matrix",
            hint="leave out replicas=…, or say what is cut",
        )
    said = schedule or Schedule()
    number = 8 if said.dtype == "float64" else 4
    size = shape[0], shape[1]
    return Setting(size, _CUTS[cut], processes, copies, number, wire_bytes(said, number))


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
        return x in given or x in numbers

    depends: dict[Expr, bool] = {}
    for x in inside(roots, stops):
        own = isinstance(x, Before | Stream | Draw) or x in given
        below = () if stops(x) or isinstance(x, Before) else x.children
        made = types(x) is Type.ARRAY and (own or any(depends.get(y) for y in below))
        depends[x] = made or x in roots
    order = [x for x, array in depends.items() if array]

    def operands(x: Expr) -> list[Expr]:
        if x in given or isinstance(x, Before):
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
        placements: of those that all processes compute. owned: those that an owner computes.
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
    """
    held: dict[Expr, Placement | None] = {}
    for x in arrays.order:
        held[x] = Placement(Held.SAME) if x in given else placement(x, setting.axes)
        if x in owned:
            held[x] = None
    net: Any = networkx.DiGraph()
    net.add_nodes_from([_ALL, _OWNER])
    users = arrays.users()
    for x in arrays.order:
        fixed = isinstance(x, Stream) or x in given or x in divided
        for edge in _edges(x, held[x], setting, users.get(x, ()), x in everywhere, fixed):
            _add(net, *edge)
    known = set(arrays.order)
    for x, y in together:
        if x in known and y in known:
            _add(net, x, y, None)
            _add(net, y, x, None)
    _, (_, at_owner) = networkx.minimum_cut(net, _ALL, _OWNER)
    found = frozenset(x for x in arrays.order if x in at_owner)
    placed = {x: own for x, own in held.items() if own is not None and x not in found}
    return Sides(placed, found)


Edge = tuple[object, object, int | None]


def _edges(
    x: Expr,
    own: Placement | None,
    setting: Setting,
    users: Sequence[Expr],
    is_root: bool,
    fixed: bool,
) -> Iterator[Edge]:
    """Yield the edges of an array: (from, to, price), without a price where none is high enough."""
    kept = form(x.shape, setting.axes)
    if own is None:
        yield x, _OWNER, None
    elif fixed:
        yield _ALL, x, None
    else:
        yield _ALL, x, 1  # of equals, what all processes compute: their work is even
        if own.is_reduced:
            yield x, _OWNER, setting.price(x, "summed")
    if users and own is not None and own.held is Held.PARTS:
        there = ("to the owner", x)
        yield x, there, setting.price(x, "gathered")
        yield from ((there, user, None) for user in users)
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
