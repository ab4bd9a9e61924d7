"""Rounds: in which order a step that processes share is computed, and what crosses when.

In a round all processes compute what they can from their parts, owners what they can from whole
matrices; then values cross, all those of the round at once, and the next round goes on with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from normdsl.compiler.lowering.chains import chained
from normdsl.compiler.lowering.fragments import stream_name
from normdsl.compiler.lowering.functions import Functions, shared
from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.sharding.cut import Graph, NotDividedError, Sides, graph, sides
from normdsl.compiler.sharding.placement import Axes, Held, form
from normdsl.compiler.sharding.setting import Setting
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Asked, Query, Source, Stream

W, G = (Stream(source, where=None) for source in (Source.WEIGHTS, Source.GRADIENT))
_LOSS = Stream(Source.LOSS, where=None)
#: How a value crosses: to its owner, from it in parts or as it is; as a sum or as a maximum of what
#: all processes have, or those of an owner group.
KINDS = ("gathered", "scattered", "spread", "summed", "bounded", "pooled", "peaked")


def asked(program: Program) -> list[Expr]:
    """Return what a rule asks of the loss, in the order of the answers."""
    return [x for phase in program.phases for x in phase.asked]


def answer_name(k: int) -> str:
    """Return the name of an answer of the loss."""
    return f"answer{k}"


def is_loss(x: Expr) -> bool:
    """Return whether an expression asks for the value of the loss."""
    return isinstance(x, Query) and x.asked is Asked.LOSS


def is_placed(phase: Phase) -> bool:
    """Return whether anything must be computed before an evaluation of the loss."""
    return phase.moves or bool(phase.directions)


def _before(node: Across | Phase) -> list[Expr]:
    """Return what is computed before a step."""
    if isinstance(node, Across):
        return [node.arg]
    return [*([node.point] if node.moves else []), *node.directions]


def _chained(program: Program, setting: Setting) -> Program:
    """Return a rule as an owner group computes it.

    Raises:
        NotDividedError: if it has no polar factors, or these or what they are made of need more.
    """
    more = (program.layers, program.workers, program.phases, program.renewed, program.draws)
    if any(more) or program.declaration.asides:
        raise NotDividedError("as it reads more than its own matrix")
    try:
        found = chained(program, setting.shape, setting.device, setting.number == 8)
    except DeclarationError as error:  # of so many steps that they are nested too deeply
        raise NotDividedError("as its methods have too many steps") from error
    if found is None:
        raise NotDividedError("as its methods need whole matrices")
    return found


@attrs.frozen
class Crossing:
    """How a value gets to the other side, or becomes one.

    Args:
        after: which round. kind: one of `KINDS`.
        over: of a sum or maximum, the axes that its terms are of.
    """

    after: int
    kind: str
    over: Axes = frozenset()


class Rounds:
    """The order of a step, or of a part of it, among the processes that share it.

    Args:
        program: the rule. setting: the weights.
        node: what is computed before a step: a layer's part of a scalar of all layers, or where an
            evaluation of the loss is, and its directions; None for a step.

    Raises:
        NotDividedError: if it cannot be divided so.
    """

    def __init__(
        self, program: Program, setting: Setting, node: Across | Phase | None = None
    ) -> None:
        if setting.group > 1:
            program = _chained(program, setting)
        self.program, self.setting = program, setting
        self.every: list[Expr] = [program.update, *program.after, *program.values]
        self.renewed: tuple[Expr, ...] = tuple(program.renewed)
        self.is_step = node is None
        owned, divided = {*self.renewed}, set[Expr]()
        pairs = [(s.before, x) for s, x in zip(program.slots, program.after, strict=True)]
        if setting.group > 1:  # which keeps nothing
            divided = {old for old, _ in pairs}
        if node is not None:  # states are where the step has them
            step = Rounds(program, setting)
            owned |= {old for old, new in pairs if step.is_owned(new)}
            divided = {old for old, new in pairs if not step.is_owned(new)}
            self.every, self.renewed, pairs = _before(node), (), []
        #: What all processes need; of a step, the new weights.
        self.results = self.every[:1] if node is None else self.every
        self.functions = Functions(program, {})
        answers = {x: answer_name(k) for k, x in enumerate(asked(program))}
        self.functions.inputs |= answers
        found = shared(program, self.every)
        self.told: Mapping[Expr, str] = {
            **found,
            _LOSS: "loss",
            **{x: name for x, name in answers.items() if is_loss(x)},
            **self._beside(),
        }
        self.numbers = self.functions.numbers(self.every, found)
        self.arrays: Graph = graph(self.every, self.told, self.functions.inputs, self.numbers)
        self.sides: Sides = sides(
            self.arrays, setting, self.told, pairs, self.results, owned, divided
        )
        self._users = self.arrays.users()
        self._round: dict[Expr, int] = {}
        self._order()

    def _beside(self) -> dict[Expr, str]:
        """Return the names of moments and of other parameters, which all processes have whole."""
        names = self.program.declaration.asides
        read = (x for x in inside(self.every) if isinstance(x, Stream))
        found: dict[Expr, str] = {x: name for x in read if (name := stream_name(x)) in names}
        if any(self.is_parts(x) for x in found):
            raise NotDividedError("as it reads other parameters that have an axis which is cut")
        return found

    def __getitem__(self, x: Expr) -> int:
        """Return the round in which a value is computed."""
        return self._round[x]

    def is_input(self, x: Expr) -> bool:
        """Return whether a value is given at the beginning: weights, gradient, or a state."""
        return x in (W, G) or x in self.functions.inputs

    def is_owned(self, x: Expr) -> bool:
        """Return whether an owner computes it."""
        return x in self.sides.owned

    def is_parts(self, x: Expr) -> bool:
        """Return whether each process has a part of a value, once it is one."""
        return form(x.shape, self.setting.axes) is Held.PARTS

    def is_kept(self, x: Expr) -> bool:
        """Return whether a value outlives its round, or leaves its side."""
        if x in self.told or x in self.renewed:
            return False
        own, first, side = self.sides.placements.get(x), self[x], self.is_owned(x)
        if x in self.every or (own is not None and own.is_reduced):
            return True
        users = self._users.get(x, ())
        return any(self.is_owned(y) is not side or self[y] > first for y in users)

    def is_given(self, x: Expr, k: int, owner: bool) -> bool:
        """Return whether a side has a value before it computes anything in a round."""
        if self.is_input(x) and self.is_owned(x) is owner:
            return True
        before = self[x] < k if self.is_owned(x) is owner else True
        known = self.is_kept(x) or self.is_input(x) or (x in self.renewed and not owner)
        return before and self._ready(x, owner) <= k and known

    @property
    def turn(self) -> int | None:
        """The round in which kept values are computed, if there are any."""
        return max((self[x] for x in self.renewed), default=None)

    @property
    def last(self) -> int:
        """The last round."""
        crossed = (c.after + 1 for x in self.arrays.order for c in self.crosses(x))
        return max([0, *self._round.values(), *crossed])

    def made(self, k: int, owner: bool) -> list[Expr]:
        """Return what a side computes in a round and keeps."""
        mine = (x for x in self.arrays.order if self[x] == k and self.is_owned(x) is owner)
        return [x for x in mine if self.is_kept(x) and not self.is_input(x)]

    def crosses(self, x: Expr) -> Iterator[Crossing]:
        """Yield how a value crosses, if it does."""
        needed = {self.is_owned(user) for user in self._users.get(x, ())}
        needed |= {False} if x in self.results else set()
        own, owned = self.sides.placements.get(x), self.is_owned(x)
        then = self[x]
        if own is not None and own.is_reduced:
            adds = own.held is Held.TERMS
            kind = ("pooled" if adds else "peaked") if owned else "summed" if adds else "bounded"
            yield Crossing(then, kind, own.over)
            then += 1
        if owned and False in needed:
            yield Crossing(then, "scattered" if self.is_parts(x) else "spread")
        if not owned and True in needed and self.is_parts(x):
            yield Crossing(then, "gathered")

    def _ready(self, x: Expr, owner: bool) -> int:
        """Return the round from which on a side has a value."""
        own = self.sides.placements.get(x)
        first = self[x] + (own is not None and own.is_reduced)
        if self.is_owned(x):
            return first if owner else first + 1
        return first + (owner and self.is_parts(x))

    def _order(self) -> None:
        """Note the round in which each value is computed; that of kept values is one."""
        turn = -1
        for _ in self.renewed or (None,):
            for x in self.arrays.order:
                needed = [self._ready(y, self.is_owned(x)) for y in self.arrays.operands[x]]
                self._round[x] = max([turn if x in self.renewed else 0, 0, *needed])
            turn = max((self[x] for x in self.renewed), default=0)
        if any(self[x] != turn for x in self.renewed):
            raise NotDividedError("as values that are kept need others in several exchanges")
        for x in reversed(self.arrays.order):
            self._delay(x)

    def _delay(self, x: Expr) -> None:
        """Let a value be computed in the round that first needs it, if it stays on its side."""
        users, own = self._users.get(x, ()), self.sides.placements.get(x)
        stays = all(self.is_owned(y) is self.is_owned(x) for y in users)
        fixed = x in self.results or x in self.renewed or self.is_input(x) or x in self.told
        if users and stays and not fixed and not (own and own.is_reduced):
            self._round[x] = min(self[y] for y in users)
