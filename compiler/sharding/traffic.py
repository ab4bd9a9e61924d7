"""Traffic: the sharding plan of a rule in words, and the bytes that a process sends for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from normdsl.compiler.lowering.program import Program
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.division import Division, division, surveyed, why_not_divided
from normdsl.compiler.sharding.jobs import dealt, job
from normdsl.compiler.sharding.owners import members
from normdsl.compiler.sharding.placement import Held, form
from normdsl.compiler.sharding.rounds import is_placed
from normdsl.compiler.sharding.setting import Setting
from normdsl.errors import HyperparameterError
from normdsl.expressions.shapes import Dim, Shape
from normdsl.show.grid import Grid

_HOW = {
    "gathered": "parts → owner",
    "scattered": "owner → parts",
    "spread": "owner → all",
    "summed": "sum over all",
    "bounded": "maximum over all",
    "pooled": "sum within the group",
    "peaked": "maximum within the group",
}
_AXES = {
    frozenset({Dim.M}): "rows",
    frozenset({Dim.N}): "columns",
    frozenset({Dim.M, Dim.N}): "rows and columns",
    frozenset[Dim](): "nothing",
}


@attrs.frozen
class Sent:
    """A value that crosses between processes in a step.

    Args:
        what: the author's name of it, or its formula. shape: its symbols. how: it crosses.
        after: which round of computation.
        bytes: what a process sends for one matrix, on average over processes and owners.
        dtype: in which it travels, if that is not the one of the step.
    """

    what: str
    shape: str
    how: str
    after: int
    bytes: float
    dtype: str = ""

    @property
    def way(self) -> str:
        """How it crosses, and in which dtype."""
        return f"{self.how}, in {self.dtype}" if self.dtype else self.how


@attrs.frozen(repr=False)
class ShardingPlan:
    """What processes that hold a matrix together do for one step of a rule.

    Args:
        rule: its name. setting: the matrix, what is cut, and among how many.
        states: of each its name, its symbols, and where it is kept.
        sent: what crosses. owner: what an owner computes, in words; a group of `setting.group`
            processes is one.
        collectives: how many a step has for all matrices of a convoy together, besides those of
            flags. convoys: in how many such matrices cross, of which one travels while others are
            computed; an optimizer with matrices of several sizes says its own, `opt.explain()`.
        flags: how many flags are reduced: whether all may step, and whether all is finite.
        why: why each process computes all of it instead, if it does.
    """

    rule: str
    setting: Setting
    states: tuple[tuple[str, str, str], ...]
    sent: tuple[Sent, ...]
    owner: tuple[str, ...]
    collectives: int
    flags: int = 2
    convoys: int = 1
    why: str = ""

    @property
    def bytes(self) -> float:
        """What a process sends for one matrix in a step, on average."""
        return sum(x.bytes for x in self.sent)

    @property
    def who(self) -> str:
        """What an owner is, in words."""
        count = self.setting.group
        return "an owner" if count == 1 else f"an owner group of {count} processes"

    @property
    def share(self) -> float:
        """The same over the bytes of the matrix."""
        m, n = self.setting.shape
        return self.bytes / (m * n * self.setting.number)

    def _grid(self) -> Grid:
        m, n = self.setting.shape
        setting = self.setting
        among = setting.parts if setting.axes else setting.processes
        head = f"{self.rule}: W {m}×{n}, {_AXES[setting.axes]} cut among {among} processes"
        if setting.axes and setting.replicas > 1:
            head += f", in each of {setting.replicas} replicas"
        size = m * n * self.setting.number
        rows = [["state", name, shape, place, ""] for name, shape, place in self.states]
        rows += [["crosses", x.what, x.shape, x.way, f"{x.bytes / size:.3g}"] for x in self.sent]
        at = f"Computed at {self.who}: {', '.join(self.owner)}." if self.owner else ""
        which = "all matrices" if self.convoys == 1 else f"each of {self.convoys} convoys"
        total = (
            f"A process sends {self.share:.3g} of W for it in a step, in {self.collectives} "
            f"collectives for {which}, and {self.flags} flags."
        )
        if self.why:
            total = f"Each process computes all of it, {self.why}; parts are gathered for that."
        notes = [x for x in (at, total) if x]
        return Grid(["", "what", "shape", "where", "of W"], rows, notes=notes, title=head)

    def __str__(self) -> str:
        return self._grid().text()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self._grid().html()


def plan(program: Program, setting: Setting, matrices: int = 1) -> ShardingPlan:
    """Return the sharding plan of a lowered rule.

    Args:
        program: the rule. setting: the matrix and the processes. matrices: how many there are.

    Raises:
        HyperparameterError: if there is none.
    """
    if not isinstance(matrices, int) or matrices < 1:
        raise HyperparameterError(
            f"plan a step of matrices={matrices!r}",
            why="there is one matrix or more that step together",
            hint="say matrices=48, or leave it out for one",
        )
    why = why_not_divided(program, setting)
    if why:
        sent = tuple(_gathered(program, setting))
        return ShardingPlan(program.declaration.name, setting, (), sent, (), 0, why=why)
    count = setting.processes
    owners = dealt([job(program, setting)] * matrices, count, caps=[program.schedule.owned])
    setting = attrs.evolve(setting, group=len(members(owners[0], count)))
    return planned(program, setting, owners)


def planned(program: Program, setting: Setting, owners: Sequence[int] = ()) -> ShardingPlan:
    """Return the sharding plan of a rule for matrices that have such owners.

    Args:
        program: the rule. setting: a matrix. owners: of all, for the number of their convoys.
    """
    name = program.declaration.name
    whole = division(program, setting)
    before = [*program.layers, *filter(is_placed, program.phases)]
    parts = [surveyed(program, setting, x) for x in before]
    states = tuple(
        (field.name, str(Shape(*field.dims)), _place(Shape(*field.dims), owned, setting))
        for field, owned in zip(program.fields, whole.owned, strict=True)
    )
    wire = program.schedule.wire if setting.wire < setting.number else None
    sent = tuple(x for each in (*parts, whole) for x in _sent(each, wire or ""))
    count = sum(_collectives(each) for each in (*parts, whole))
    owns = tuple(dict.fromkeys(x for each in (*parts, whole) for x in each.owns))
    flags = 2 + whole.may_fail
    loads = [Load(setting, owner, whole.moves) for owner in owners]
    crossing = max(convoys(loads), default=0) + 1
    return ShardingPlan(name, setting, states, sent, owns, count, flags, crossing)


def _place(shape: Shape, owned: bool, setting: Setting) -> str:
    if owned:
        return "at the owner"
    return "in parts" if form(shape, setting.axes) is Held.PARTS else "on all"


def _sent(own: Division, wire: str) -> Iterator[Sent]:
    """Yield what crosses in a step, or in what comes before it."""
    for k, each in enumerate(own.rounds):
        for kind, how in _HOW.items():
            for value in getattr(each, kind):
                size, dtype = value.bytes * own.setting.sends(kind), wire if value.rounds else ""
                yield Sent(value.told, str(value.shape), how, k, size, dtype)


def _collectives(own: Division) -> int:
    """Return how many there are: one that moves, and one for each axis of the mesh of reductions.

    Of a mesh with an axis for rows, columns and replicas, where there are such.
    """
    found, setting = 0, own.setting
    replicas: set[Dim | None] = {None} if setting.replicas > 1 else set()
    for each in own.rounds:
        narrow = setting.wire < setting.number
        found += len({narrow and value.rounds for value in (*each.gathered, *each.scattered)})
        sums = {(frozenset[Dim | None](value.over), False) for value in each.summed}
        sums |= {(frozenset(replicas), narrow and value.rounds) for value in each.scattered}
        sums |= {(frozenset(setting.axes | replicas), False) for _ in each.spread}
        found += sum(len(axes) for axes, _ in sums)
        found += sum(map(len, {value.over for value in each.bounded}))
        found += bool(each.pooled) + bool(each.peaked)
    return found


def _gathered(program: Program, setting: Setting) -> Iterator[Sent]:
    """Yield what is gathered where every process computes all: weights, gradient, like states."""
    count, (m, n) = setting.processes, setting.shape
    size = m * n * setting.number * (count - 1) / count
    names = ["W", "G", *(f.name for f in program.fields if f.dims == (Dim.M, Dim.N))]
    for name in names:
        yield Sent(name, "m×n", "parts → all", 0, size)
