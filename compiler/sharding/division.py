"""Division: a step that processes share, written as functions with exchanges between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs

from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.function_text import function, lengths, returned
from normdsl.compiler.lowering.functions import drawn_arguments
from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.lowering.program import Program, load
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.source import module
from normdsl.compiler.sharding.cut import NotDividedError
from normdsl.compiler.sharding.placement import Axes
from normdsl.compiler.sharding.rounds import (
    KINDS,
    G,
    Rounds,
    W,
    is_loss,
    is_placed,
)
from normdsl.compiler.sharding.setting import Setting, may_round
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Draw
from normdsl.expressions.shapes import Shape

#: The longest formula that stands for a value in a plan.
_SHORT = 32


@attrs.frozen
class Value:
    """A value that crosses or is returned.

    Args:
        name: of the variable that holds it. shape: its symbols.
        over: of a sum or maximum over processes, the axes that its terms are of.
        arrives: what it is called at its owner. told: the author's name of it, or its formula.
        bytes: of all of it, where it crosses.
        rounds: whether it travels in the dtype of the wire, if there is one.
    """

    name: str
    shape: Shape
    over: Axes
    arrives: str
    told: str
    bytes: int
    rounds: bool


@attrs.frozen(eq=False)
class Part:
    """What one side computes in a round.

    Args:
        function: the emitted one, of keywords. reads: which values it is given. makes: which it
            returns, in order. draws: whether it draws random numbers.
    """

    function: Callable[..., Sequence[Any]]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    draws: bool


@attrs.frozen(eq=False)
class Round:
    """What is computed, and what crosses then.

    Args:
        renew: what computes kept values at an owner, if it is to be done in this round.
        shards: what all processes compute. owner: what an owner does, after that.
        gathered: parts that are put together at the owner. scattered: what it divides again.
        spread: what it sends to all as it is. summed, bounded: what all processes combine.
        pooled, peaked: likewise, what the processes of an owner group combine.
    """

    shards: Part | None
    renew: Part | None
    owner: Part | None
    gathered: tuple[Value, ...]
    scattered: tuple[Value, ...]
    spread: tuple[Value, ...]
    summed: tuple[Value, ...]
    bounded: tuple[Value, ...]
    pooled: tuple[Value, ...]
    peaked: tuple[Value, ...]


@attrs.frozen(eq=False)
class Division:
    """A step that processes share.

    Args:
        setting: the weights and the processes. code: the source. rounds: in order.
        numbers: (W, t=, **hyper) → what is computed once for all entries, by name.
        weights: the name of the new weights; of a scalar of all layers, that of its term.
        olds: names of the states before the step. owned: which of these are at the owner.
        news: names of the states after it; of a part, none.
        kept: names of the kept values. homes: the numbers of the states that hold them.
        shapes: of values, by name. owns: what is computed for at an owner, in words.
        may_fail: whether a factorisation of an owner's may fail, which all must learn.
    """

    setting: Setting
    code: str
    rounds: tuple[Round, ...]
    numbers: Callable[..., dict[str, Any]]
    weights: str
    olds: tuple[str, ...]
    owned: tuple[bool, ...]
    news: tuple[str, ...]
    kept: tuple[str, ...]
    homes: tuple[int, ...]
    shapes: Mapping[str, Shape]
    owns: tuple[str, ...]
    may_fail: bool

    @property
    def moves(self) -> int:
        """How many values get to an owner, or from one, in parts."""
        return sum(len(x.gathered) + len(x.scattered) for x in self.rounds)


def why_not_divided(program: Program, setting: Setting) -> str:
    """Return why a step cannot be divided among processes, as the end of a sentence, or nothing."""
    told = {
        "as kept values say where it evaluates the loss": any(
            program.waits((x.point, *x.directions)) for x in program.phases
        ),
        "as layers share scalars of kept values": program.waiting,
        "as it averages over workers": program.workers,
    }
    why = next((why for why, holds in told.items() if holds), "")
    try:
        if not why:
            division(program, setting)
            for phase in filter(is_placed, program.phases):
                surveyed(program, setting, phase)
    except NotDividedError as error:
        return str(error)
    return why


@lru_cache(maxsize=1024)
def division(program: Program, setting: Setting) -> Division:
    """Return a step as processes share it."""
    return _Written(Rounds(program, setting)).division()


@lru_cache(maxsize=1024)
def surveyed(program: Program, setting: Setting, node: Across | Phase) -> Division:
    """Return what comes before a step, as processes share it.

    What a layer contributes to a scalar of all layers; or where an evaluation of the loss is, if it
    is not at the weights, and then its directions, which are `news` but for the first.
    """
    return _Written(Rounds(program, setting, node)).division()


class _Written:
    """The functions of a step in rounds.

    Args:
        rounds: their order.
    """

    def __init__(self, rounds: Rounds) -> None:
        self.rounds, self.program = rounds, rounds.program
        self.functions = rounds.functions
        self.names = self._named()
        self._texts: dict[str, str] = {}
        self._parts: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {}

    def _named(self) -> dict[tuple[Expr, bool], str]:
        """Return the names of what sides are given or keep, by the side: whether the owner's."""
        inputs, numbers = self.functions.inputs, self.rounds.numbers
        streams: Mapping[Expr, str] = {W: "W", G: "G"}
        found: dict[tuple[Expr, bool], str] = {}
        taken = {*inputs.values(), *self.functions.kept.values(), *numbers.values()}
        taken |= {h.name for h in self.program.declaration.hyper}
        for k, x in enumerate(self.rounds.arrays.order):
            name = streams.get(x) or self.rounds.told.get(x) or inputs.get(x)
            if x in self.rounds.renewed:
                name = self.functions.kept[x]
            if name is None:
                name = f"v{k}"
                while name in taken:
                    name += "_"
            found[x, False] = name
            found[x, True] = "W_whole" if x == W else name
        return found

    def _name(self, x: Expr) -> str:
        """Return the name of a value where it is computed."""
        return self.names[x, self.rounds.is_owned(x)]

    def division(self) -> Division:
        """Return it, written and loaded."""
        order, turn = self.rounds, self.rounds.turn
        for k in range(order.last + 1):
            for owner, side in enumerate(("shards", "owner")):
                if made := order.made(k, bool(owner)):
                    self._write(f"{side}{k}", made, k, bool(owner))
        if turn is not None:
            self._write("renew", order.renewed, turn, owner=True)
        once = self.functions.write_numbers(order.numbers)
        code = module(self.functions.kernels, [once, *self._texts.values()])
        loaded = load(f"{self.program.declaration.name} in rounds", code)

        def part(name: str) -> Part | None:
            return Part(loaded[name], *self._parts[name]) if name in self._parts else None

        crossing = self._crossing()
        rounds = tuple(
            Round(
                part(f"shards{k}"),
                part("renew") if k == turn else None,
                part(f"owner{k}"),
                *(tuple(crossing[k, kind]) for kind in KINDS),
            )
            for k in range(order.last + 1)
        )
        others, owned = order.every[1:], order.sides.owned
        result = {} if order.is_step else {x: self.names[x, False] for x in order.results}
        return Division(
            order.setting,
            code,
            rounds,
            loaded["numbers"],
            self.names[order.every[0], False],
            tuple(self.functions.olds),
            tuple(map(order.is_owned, others)),
            tuple(result[x] if x in result else self._name(x) for x in others),
            tuple(self.functions.kept[x] for x in order.renewed),
            tuple(self.program.homes) if order.is_step else (),
            {self._name(x): x.shape for x in order.arrays.order},
            tuple(dict.fromkeys(x.role.value for x in owned if x.role is not None)),
            any(x.role is not None for x in owned) and not self.program.reuse,
        )

    def _crossing(self) -> Mapping[tuple[int, str], list[Value]]:
        """Return what crosses after each round, by how."""
        found: dict[tuple[int, str], list[Value]] = defaultdict(list)
        for x in self.rounds.arrays.order:
            own, whole = self.names[x, False], self.names[x, True]
            for c in self.rounds.crosses(x):
                size = self.rounds.setting.bytes_of(x, c.kind)
                rounds, within = may_round(x, c.kind), c.kind in ("pooled", "peaked")
                name = whole if within else own
                value = Value(name, x.shape, c.over, whole, self._told(x), size, rounds)
                found[c.after, c.kind].append(value)
        return found

    def _told(self, x: Expr) -> str:
        """Return the author's name of a value, or its formula, if that is short enough."""
        names = self.program.names
        if x in names or len(str(x)) <= _SHORT:
            return names.get(x, str(x))
        parts = [names.get(child, str(child)) for child in x.children]
        text = f"{type(x).__name__.lower()}({', '.join(parts)})"
        return text if len(text) <= _SHORT else f"{str(x)[: _SHORT - 1]}…"

    def _write(self, name: str, made: Sequence[Expr], k: int, owner: bool) -> None:
        """Write what one side computes in one round."""
        rounds, renews = self.rounds, name == "renew"
        given = {
            x: self.names[x, owner] for x in rounds.arrays.order if rounds.is_given(x, k, owner)
        }
        if owner and not renews:
            given |= {x: self.functions.kept[x] for x in rounds.renewed}
        given |= rounds.told
        last = self.functions.last if renews else {}
        emitter = Emitter(
            self.program.names,
            given,
            self.program.schedule,
            last,
            self.program.phase or "phase",
            numbers=rounds.numbers,
            divided=not owner or rounds.setting.group > 1,
        )
        results = self.functions.results(emitter, [(x, None) for x in made])
        read = inside(made, lambda x: x in given or x in rounds.numbers)
        needed = [given[x] for x in read if x in given and x not in rounds.told]
        needed += [last[x] for x in made] if renews else []
        needed = [x for x in dict.fromkeys(needed) if x != "W"]
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        told = "".join(f", {x}" for x in (*needed, *rounds.numbers.values()))
        told += ", loss=None" + (", layers=(), own=()" if self.program.layers else "")
        losses = (name for x, name in rounds.told.items() if is_loss(x))
        beside = (*losses, *self.program.declaration.asides)
        told += "".join(f", {name}=None" for name in beside)
        told += drawn_arguments(self.program)
        told += f", {self.program.phase}" if renews else ""
        where = "its owner" if owner else "each process, from its parts,"
        what = f"What {where} computes in round {k} of one step of {self.program.declaration.name}"
        self._texts[name] = function(f"def {name}(W, *{told}):", what, body)
        names = self.functions.kept if renews else None
        makes = tuple(names[x] if names else self.names[x, owner] for x in made)
        self._parts[name] = tuple(needed), makes, any(isinstance(x, Draw) for x in read)
