"""Rounds: a step that processes share, as functions with exchanges between them.

In a round all processes compute what they can from their parts, owners what they can from whole
matrices; then values cross, all those of the round at once, and the next round goes on with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs

from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.function_text import function, lengths, returned
from normdsl.compiler.lowering.functions import Functions, drawn_arguments, shared
from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.lowering.program import Program, load
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.source import module
from normdsl.compiler.sharding.cut import Graph, Setting, Sides, graph, sides
from normdsl.compiler.sharding.placement import Axes, Held, form
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Asked, Draw, Query, Source, Stream
from normdsl.expressions.shapes import Shape

_W, _G = (Stream(source, where=None) for source in (Source.WEIGHTS, Source.GRADIENT))
_LOSS = Stream(Source.LOSS, where=None)


@attrs.frozen
class Value:
    """A value that crosses or is returned.

    Args:
        name: of the variable that holds it. shape: its symbols.
        over: of a sum or maximum over processes, the axes that its terms are of.
        arrives: what it is called at its owner. told: the author's name of it, or its formula.
    """

    name: str
    shape: Shape
    over: Axes
    arrives: str
    told: str


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
    """

    shards: Part | None
    renew: Part | None
    owner: Part | None
    gathered: tuple[Value, ...]
    scattered: tuple[Value, ...]
    spread: tuple[Value, ...]
    summed: tuple[Value, ...]
    bounded: tuple[Value, ...]

    @property
    def crossing(self) -> tuple[Value, ...]:
        """All that crosses after it."""
        return (*self.gathered, *self.scattered, *self.spread, *self.summed, *self.bounded)


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
    def has_owner(self) -> bool:
        """Whether anything is computed at an owner."""
        return any(x.owner or x.renew for x in self.rounds)


def why_not_divided(program: Program, setting: Setting) -> str:
    """Return why a step cannot be divided among processes, as the end of a sentence, or nothing."""
    told = {
        "as kept values say where it evaluates the loss": any(
            program.waits((x.point, *x.directions)) for x in program.phases
        ),
        "as it reads moments of layers, or other parameters": program.declaration.asides,
        "as layers share scalars of kept values": program.waiting,
        "as it averages over workers": program.workers,
    }
    why = next((why for why, holds in told.items() if holds), "")
    try:
        if not why:
            division(program, setting)
            for phase in filter(is_placed, program.phases):
                pointed(program, setting, phase)
    except NotDividedError as error:
        return str(error)
    return why


@lru_cache(maxsize=1024)
def division(program: Program, setting: Setting) -> Division:
    """Return a step as processes share it."""
    every = [program.update, *program.after, *program.values]
    return _Divided(program, setting, every, is_step=True).made()


@lru_cache(maxsize=1024)
def surveyed(program: Program, setting: Setting, node: Across) -> Division:
    """Return what a layer contributes to a scalar of all layers, as processes share it."""
    return _Divided(program, setting, [node.arg]).made()


def is_placed(phase: Phase) -> bool:
    """Return whether anything must be computed before an evaluation of the loss."""
    return phase.moves or bool(phase.directions)


@lru_cache(maxsize=1024)
def pointed(program: Program, setting: Setting, phase: Phase) -> Division:
    """Return where an evaluation of the loss is, and its directions, as processes share that.

    Where it is comes first, if it is not at the weights; others are `news`.
    """
    every = [*([phase.point] if phase.moves else []), *phase.directions]
    return _Divided(program, setting, every, whole=True).made()


class NotDividedError(Exception):
    """Why a step cannot be divided, as the end of a sentence."""


class _Divided:
    """Divides a step, or a part of it, into rounds.

    Args:
        program: the rule. setting: the weights. every: what is computed, new weights first.
        is_step: whether it is a step, which makes states. whole: whether all processes need all
            that is computed, not the first of it alone.
    """

    def __init__(
        self,
        program: Program,
        setting: Setting,
        every: Sequence[Expr],
        is_step: bool = False,
        whole: bool = False,
    ) -> None:
        self.program, self.setting, self.every = program, setting, list(every)
        self.is_step = is_step
        self.results = self.every if whole else self.every[:1]
        self.functions = Functions(program, {})
        self.functions.inputs |= {x: answer_name(k) for k, x in enumerate(asked(program))}
        found = shared(program, self.every)
        self.told = {**found, _LOSS: "loss"}
        self.told |= {x: name for x, name in self.functions.inputs.items() if is_loss(x)}
        self.numbers = self.functions.numbers(self.every, found)
        self.renewed = tuple(program.renewed) if self.is_step else ()
        self.arrays: Graph = graph(self.every, self.told, self.functions.inputs, self.numbers)
        self.sides: Sides = self._sides()
        self.users = self.arrays.users()
        self.round: dict[Expr, int] = {}
        self._order()
        self.names = self._named()

    def _sides(self) -> Sides:
        """Return which side computes what; a survey finds states where the step has them."""
        befores = [slot.before for slot in self.program.slots]
        pairs, divided, owned = [], set[Expr](), {*self.renewed}
        if self.is_step:
            pairs = list(zip(befores, self.program.after, strict=True))
        else:
            lies = division(self.program, self.setting).owned
            owned |= {x for x, at_owner in zip(befores, lies, strict=False) if at_owner}
            divided = {x for x in befores if x not in owned}
        return sides(self.arrays, self.setting, self.told, pairs, self.results, owned, divided)

    def is_owned(self, x: Expr) -> bool:
        """Return whether an owner computes it."""
        return x in self.sides.owned

    def _ready(self, x: Expr, owner: bool) -> int:
        """Return the round from which on a side has a value."""
        first = self.round[x]
        if self.is_owned(x):
            return first if owner else first + 1
        return first + self.sides.placements[x].is_reduced + (owner and self._is_parts(x))

    def _is_parts(self, x: Expr) -> bool:
        """Return whether each process has a part of a value, once it is one."""
        return form(x.shape, self.setting.axes) is Held.PARTS

    def _order(self) -> None:
        """Note the round in which each value is computed; that of kept values is one."""
        turn = -1
        for _ in self.renewed or (None,):
            for x in self.arrays.order:
                needed = [self._ready(y, self.is_owned(x)) for y in self.arrays.operands[x]]
                self.round[x] = max([turn if x in self.renewed else 0, 0, *needed])
            turn = max((self.round[x] for x in self.renewed), default=0)
        if any(self.round[x] != turn for x in self.renewed):
            raise NotDividedError("as values that are kept need others in several exchanges")
        for x in reversed(self.arrays.order):
            self._delay(x)

    def _delay(self, x: Expr) -> None:
        """Let a value be computed in the round that first needs it, if it stays on its side."""
        users, own = self.users.get(x, ()), self.sides.placements.get(x)
        stays = all(self.is_owned(y) is self.is_owned(x) for y in users)
        fixed = x in self.results or x in self.renewed or self._is_input(x) or x in self.told
        if users and stays and not fixed and not (own and own.is_reduced):
            self.round[x] = min(self.round[y] for y in users)

    def _named(self) -> dict[tuple[Expr, bool], str]:
        """Return the names of what sides are given or keep, by the side: whether the owner's."""
        inputs: Mapping[Expr, str] = self.functions.inputs
        streams: Mapping[Expr, str] = {_W: "W", _G: "G"}
        found: dict[tuple[Expr, bool], str] = {}
        taken = {*inputs.values(), *self.functions.kept.values(), *self.numbers.values()}
        taken |= {h.name for h in self.program.declaration.hyper}
        for k, x in enumerate(self.arrays.order):
            name = streams.get(x) or self.told.get(x) or inputs.get(x)
            if x in self.renewed:
                name = self.functions.kept[x]
            if name is None:
                name = f"v{k}"
                while name in taken:
                    name += "_"
            found[x, False] = name
            found[x, True] = "W_whole" if x == _W else name
        return found

    def _is_kept(self, x: Expr) -> bool:
        """Return whether a value outlives its round, or leaves its side."""
        if x in self.told or x in self.renewed:
            return False
        own, first, side = self.sides.placements.get(x), self.round[x], self.is_owned(x)
        if x in self.every or (own is not None and own.is_reduced):
            return True
        users = self.users.get(x, ())
        return any(self.is_owned(y) is not side or self.round[y] > first for y in users)

    def made(self) -> Division:
        """Return it, written and loaded."""
        kept = [x for x in self.arrays.order if self._is_kept(x)]
        last = max([self.round[x] for x in self.arrays.order] + [0])
        crossing = self._crossing()
        last = max([last, *(k + 1 for k in crossing)])
        texts: dict[str, str] = {}
        parts: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {}
        for k in range(last + 1):
            for owner in (False, True):
                made = [x for x in kept if self.round[x] == k and self.is_owned(x) is owner]
                made = [x for x in made if not self._is_input(x)]
                if made:
                    self._write(
                        f"{'owner' if owner else 'shards'}{k}", made, k, owner, texts, parts
                    )
        turn = max((self.round[x] for x in self.renewed), default=None)
        if turn is not None:
            self._write("renew", self.renewed, turn, True, texts, parts)
        once = self.functions.write_numbers(self.numbers)
        code = module(self.functions.kernels, [once, *texts.values()])
        loaded = load(f"{self.program.declaration.name} in rounds", code)

        def part(name: str) -> Part | None:
            return Part(loaded[name], *parts[name]) if name in parts else None

        rounds = tuple(
            Round(
                part(f"shards{k}"),
                part("renew") if k == turn else None,
                part(f"owner{k}"),
                *(tuple(crossing[k][kind]) for kind in _KINDS),
            )
            for k in range(last + 1)
        )
        return self._division(code, rounds, loaded["numbers"])

    def _division(
        self, code: str, rounds: Sequence[Round], numbers: Callable[..., dict[str, Any]]
    ) -> Division:
        others = self.every[1:] if self.is_step else self.results[1:]
        return Division(
            self.setting,
            code,
            tuple(rounds),
            numbers,
            self.names[self.every[0], False],
            tuple(self.functions.olds),
            tuple(map(self.is_owned, others)),
            tuple(self.names[x, self.is_step and self.is_owned(x)] for x in others),
            tuple(self.functions.kept[x] for x in self.renewed),
            tuple(self.program.homes) if self.is_step else (),
            {self.names[x, self.is_owned(x)]: x.shape for x in self.arrays.order},
            tuple(dict.fromkeys(x.role.value for x in self.sides.owned if x.role is not None)),
            bool(self.sides.owned) and not self.program.reuse,
        )

    def _is_input(self, x: Expr) -> bool:
        """Return whether a value is given at the beginning: weights, gradient, or a state."""
        return x in (_W, _G) or x in self.functions.inputs

    def _crossing(self) -> dict[int, dict[str, list[Value]]]:
        """Return for each round what crosses after it, by how."""
        found: dict[int, dict[str, list[Value]]] = defaultdict(lambda: defaultdict(list))
        for x in self.arrays.order:
            for k, kind, over in self._crosses(x):
                own, whole = self.names[x, False], self.names[x, True]
                found[k][kind].append(Value(own, x.shape, over, whole, self._told(x)))
        return found

    def _told(self, x: Expr) -> str:
        """Return the author's name of a value, or its formula, if that is short enough."""
        names = self.program.names
        if x in names or len(str(x)) <= _SHORT:
            return names.get(x, str(x))
        parts = [names.get(child, str(child)) for child in x.children]
        text = f"{type(x).__name__.lower()}({', '.join(parts)})"
        return text if len(text) <= _SHORT else f"{str(x)[: _SHORT - 1]}…"

    def _crosses(self, x: Expr) -> Iterator[tuple[int, str, Axes]]:
        """Yield after which round a value crosses, how, and over which axes it is combined."""
        needed = {self.is_owned(user) for user in self.users.get(x, ())}
        needed |= {False} if x in self.results else set()
        first = self.round[x]
        if self.is_owned(x):
            if False in needed:
                yield first, "scattered" if self._is_parts(x) else "spread", frozenset()
            return
        own = self.sides.placements[x]
        if own.is_reduced:
            yield first, "summed" if own.held is Held.TERMS else "bounded", own.over
        if True in needed and self._is_parts(x):
            yield first + own.is_reduced, "gathered", frozenset()

    def _is_given(self, x: Expr, k: int, owner: bool) -> bool:
        """Return whether a side has a value before it computes anything in a round."""
        if self._is_input(x) and self.is_owned(x) is owner:
            return True
        before = self.round[x] < k if self.is_owned(x) is owner else True
        known = self._is_kept(x) or self._is_input(x) or (x in self.renewed and not owner)
        return before and self._ready(x, owner) <= k and known

    def _write(
        self,
        name: str,
        made: Sequence[Expr],
        k: int,
        owner: bool,
        texts: dict[str, str],
        parts: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]],
    ) -> None:
        """Write what one side computes in one round."""
        renews = name == "renew"
        given = {x: self.names[x, owner] for x in self.arrays.order if self._is_given(x, k, owner)}
        if owner and not renews:
            given |= {x: self.functions.kept[x] for x in self.renewed}
        given |= self.told
        last = self.functions.last if renews else {}
        emitter = Emitter(
            self.program.names,
            given,
            self.program.schedule,
            last,
            self.program.phase or "phase",
            numbers=self.numbers,
            divided=not owner,
        )
        results = self.functions.results(emitter, [(x, None) for x in made])
        read = inside(made, lambda x: x in given or x in self.numbers)
        needed = [given[x] for x in read if x in given and x not in self.told]
        needed += [last[x] for x in made] if renews else []
        needed = [x for x in dict.fromkeys(needed) if x != "W"]
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        told = "".join(f", {x}" for x in (*needed, *self.numbers.values()))
        told += ", loss=None" + (", layers=(), own=()" if self.program.layers else "")
        losses = (name for x, name in self.told.items() if is_loss(x))
        told += "".join(f", {name}=None" for name in losses)
        told += drawn_arguments(self.program)
        told += f", {self.program.phase}" if renews else ""
        where = "its owner" if owner else "each process, from its parts,"
        what = f"What {where} computes in round {k} of one step of {self.program.declaration.name}"
        texts[name] = function(f"def {name}(W, *{told}):", what, body)
        names = self.functions.kept if renews else None
        makes = tuple(names[x] if names else self.names[x, owner] for x in made)
        parts[name] = tuple(needed), makes, any(isinstance(x, Draw) for x in read)


def asked(program: Program) -> list[Expr]:
    """Return what a rule asks of the loss, in the order of the answers."""
    return [x for phase in program.phases for x in phase.asked]


def answer_name(k: int) -> str:
    """Return the name of an answer of the loss."""
    return f"answer{k}"


def is_loss(x: Expr) -> bool:
    """Return whether an expression asks for the value of the loss."""
    return isinstance(x, Query) and x.asked is Asked.LOSS


#: The longest formula that stands for a value in a plan.
_SHORT = 32
_KINDS = ("gathered", "scattered", "spread", "summed", "bounded")
