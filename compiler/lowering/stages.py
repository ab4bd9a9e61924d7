"""Stages: the arrays of a step in three parts, of which the first and the last are entry-wise.

What matrix operations read is made of weights, gradient and states entry by entry (what is *fed*),
then come these operations (their *values*), and new weights and states are made of all that, again
entry by entry. What entries become *between* two matrix operations is a function of its own. So a
runtime can take each entry-wise part in one pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import attrs
from torch import Tensor

from normdsl.compiler.lowering.emit import Call, Emitter
from normdsl.compiler.lowering.fields import unused
from normdsl.compiler.lowering.function_text import function, lengths, returned
from normdsl.compiler.lowering.functions import Functions, shared
from normdsl.compiler.lowering.program import Program, load
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.source import module, numbers_of
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Add, Apply, Maximum, Mul, Pow, Source, Stream, Where
from normdsl.expressions.shapes import MATRIX

_W, _G = (Stream(source, where=None) for source in (Source.WEIGHTS, Source.GRADIENT))
_LOSS = Stream(Source.LOSS, where=None)
#: Operations between matrix operations from which on they are a function of their own.
SEVERAL = 3


@attrs.frozen(eq=False)
class Between:
    """What entries become between two matrix operations, of some matrices that these make or read.

    Args:
        name: the argument of `Stages.value` that makes it. arrays: names of the matrices.
        make: (W, *arrays, **numbers, loss=) → what they become.
    """

    name: str
    arrays: tuple[str, ...]
    make: Callable[..., Sequence[Tensor]]


@attrs.frozen(eq=False)
class Stages:
    """A step in three parts.

    Args:
        code: their source. arrays: names of the matrices m × n from which entries step: W, G, and
            S with the number of a state for each state of this shape.
        fed: names of what matrix operations read. reads: which of W and G are fed as they are.
        numbers: names of what is computed once for all entries.
        values: names of their results m × n. scalars: of those that are a number for each matrix.
        changed: for each result of `entries` the array that it becomes.
        rest: numbers of the states that matrix operations return, after values and scalars.
        direct: numbers of the matrices m × n among the states that these read as they are.
        feed: (*arrays, **numbers, loss=) → what is fed.
        value: (W, G, *states, *kept, *fed, **numbers, loss=) → values, scalars and states.
        entries: (*arrays, *values, **numbers, **scalars, loss=) → what is changed.
        renew: what `Program.renew` does; None if nothing is kept. Here and in `value`, products of
            matrices are calls of functions, in whose places others may be put.
        between: functions that `value` calls, and takes others for.
    """

    code: str
    arrays: tuple[str, ...]
    fed: tuple[str, ...]
    reads: Mapping[str, str]
    numbers: tuple[str, ...]
    values: tuple[str, ...]
    scalars: tuple[str, ...]
    changed: tuple[str, ...]
    rest: tuple[int, ...]
    direct: tuple[int, ...]
    feed: Callable[..., Sequence[Tensor]]
    value: Callable[..., Sequence[Tensor]]
    entries: Callable[..., Sequence[Tensor]]
    renew: Callable[..., Sequence[Tensor]] | None
    between: tuple[Between, ...]


@lru_cache(maxsize=256)
def stages(program: Program) -> Stages | None:
    """Return a step in three parts; None for a rule that has not all of them."""
    return None if _why_not_split(program) else _Split(program).made()


@lru_cache(maxsize=256)
def why_whole(program: Program) -> str:
    """Return why a step has no stages, as the end of a sentence; empty if it has."""
    why = _why_not_split(program)
    if why or stages(program):
        return why
    return "as entries are not made both before and after its matrix operations"


def _why_not_split(program: Program) -> str:
    """Return why a step is left whole whatever its operations are; empty if it is not.

    What may fail half-way must leave kept values as they were, so it has to come first.
    """
    renewed = inside(program.renewed)
    told = {
        "as layers share scalars": program.layers,
        "as it averages over workers": program.workers,
        "as it evaluates the loss again": program.phases,
        "as it draws random numbers": program.draws,
        "as it reads moments of layers, or other parameters": program.declaration.asides,
        "as it reads kept values of the step before": program.reads_last,
        "as it may fail after kept values are computed": program.renewed and not program.reuse,
        "as kept values are made of the weights": _W in renewed,
    }
    return next((why for why, holds in told.items() if holds), "")


class _Split:
    """Divides a step at its matrix operations."""

    def __init__(self, program: Program) -> None:
        self.program, self.functions = program, Functions(program, {})
        self.numbers = self.functions.numbers([*program.after, program.update], {})
        self.kept = self.functions.kept
        self.given = {**self.functions.inputs, **self.kept}
        self._types = Types(self.given, self.numbers)
        homes: dict[Expr, int] = {slot.before: k for k, slot in enumerate(program.slots)}
        homes.update(zip(program.renewed, program.homes, strict=True))
        states = {x: f"S{k}" for x, k in homes.items() if x.shape == MATRIX}
        #: Matrices m × n from which a step starts; kept ones are where their states are.
        self.arrays: dict[Expr, str] = {_W: "W", _G: "G", **states}

    def made(self) -> Stages | None:
        """Return the parts, if there are all."""
        program = self.program
        every = [program.update, *program.after, *program.values]
        new = [k for k, x in enumerate(every) if x not in self.given]
        own = [k for k in new if every[k].shape == MATRIX]
        rest = [k for k in new if k not in own]
        leaves = dict.fromkeys(y for k in own for y in self._leaves(every[k]))
        values = [x for x in leaves if x.shape == MATRIX]
        scalars = [x for x in leaves if x not in values]
        fed = dict.fromkeys(y for x in [*leaves, *(every[k] for k in rest)] for y in self._fed(x))
        if program.renewed:
            fed[_G] = None
        if 0 not in own or not leaves or not fed:
            return None
        return self._written(every, own, rest, list(fed), values, scalars)

    def _is_number(self, x: Expr) -> bool:
        return x in self.numbers or x == _LOSS or self._types(x) <= Type.CLOCK

    def _is_entry(self, x: Expr) -> bool:
        """Return whether an entry of x is made of the same entry of matrices, and of numbers."""
        return x.shape == MATRIX and isinstance(x, Add | Mul | Pow | Apply | Maximum | Where)

    def _leaves(self, x: Expr) -> Iterator[Expr]:
        """Yield what entries of x are made of besides the arrays of the step and its numbers."""
        return (y for y in self._read(x) if y not in self.arrays)

    def _read(self, x: Expr, whole: Container[Expr] = ()) -> Iterator[Expr]:
        """Yield what entries of x are made of, besides numbers; parts of `whole` are not sought."""
        if self._is_number(x):
            return
        line = any(child.shape.is_line for child in x.children)
        if x in self.arrays or x in whole or not self._is_entry(x) or line:
            yield x
            return
        for child in x.children:
            yield from self._read(child, whole)

    def _fed(self, x: Expr) -> Iterator[Expr]:
        """Yield the largest entry-wise parts of x that are made of arrays and numbers alone.

        Not of kept values, which may be computed anew after that.
        """
        if self._is_number(x) or x in self.given:
            return
        alone = not list(self._leaves(x)) and not any(y in self.kept for y in inside([x]))
        if x in (_W, _G) or (self._is_entry(x) and alone):
            yield x
            return
        for child in x.children:
            yield from self._fed(child)

    def _between(self, roots: Iterable[Expr], fed: Container[Expr]) -> dict[Expr, Call]:
        """Return what entries become between matrix operations, and the functions to call for it.

        The largest parts of the roots that are entry-wise, if they are several operations.
        """
        found: dict[Expr, Call] = {}
        told = (*self.numbers.values(), "loss")
        taken = {*told, *self.given.values(), self.program.reuse}
        taken |= {h.name for h in self.program.declaration.hyper}
        seen: set[Expr] = set()
        waiting = [*roots]
        while waiting:
            x = waiting.pop(0)
            if x in seen or x in fed or x in self.given or self._is_number(x):
                continue
            seen.add(x)
            read = tuple(dict.fromkeys(self._read(x, fed)))
            if self._operations(x, read) >= SEVERAL and all(y.shape == MATRIX for y in read):
                found[x] = Call(unused("between", taken), read, told)
                taken.add(found[x].name)
                waiting += read
            else:
                waiting += x.children
        return found

    def _operations(self, x: Expr, read: Container[Expr]) -> int:
        """Return how many operations make x, entry by entry, of what is read."""
        parts = inside([x], lambda y: y in read or self._is_number(y))
        return sum(self._is_entry(y) and y not in read for y in parts if not self._is_number(y))

    def _written(
        self,
        every: Sequence[Expr],
        own: Sequence[int],
        rest: Sequence[int],
        fed: Sequence[Expr],
        values: Sequence[Expr],
        scalars: Sequence[Expr],
    ) -> Stages:
        """Return the parts as source and functions."""
        named = {x: f"F{k}" for k, x in enumerate(fed)}
        made = {x: f"V{k}" for k, x in enumerate(values)}
        told = {x: f"scalar{k}" for k, x in enumerate(scalars)}
        arrays = list(dict.fromkeys(self.arrays.values()))
        scalar = "".join(f", {name}=None" for name in told.values())
        keys = ", ".join(["", "*", *self.numbers.values(), "loss=None"]) + scalar
        feed = self._function("feed", ", ".join(arrays) + keys, self.arrays, fed)
        known = {**self.given, **named}
        head = self.functions.arguments(self.numbers, self.functions.kept)
        first, _, last = head.partition(", *,")
        results = [*values, *scalars, *(every[k] for k in rest)]
        reuse = self.program.reuse
        last += f", {reuse}=False" if reuse else ""
        calls = self._between(results, named)
        between = [self._made_between(x, call, keys) for x, call in calls.items()]
        last += "".join(f", {call.name}={call.name}" for call in calls.values())
        head = f"{first}, {', '.join(named.values())}, *,{last}"
        value = self._function("value", head, known, results, reuse, calls, products=True)
        renew = self._renew()
        ready = {**self.arrays, **made, **told}
        entries = self._function(
            "entries",
            ", ".join([*arrays, *made.values()]) + keys,
            ready,
            [every[k] for k in own],
        )
        code = module(self.functions.kernels, [feed, *between, value, entries, *renew])
        loaded = load(f"{self.program.declaration.name} in stages", code)
        return Stages(
            code,
            tuple(arrays),
            tuple(named.values()),
            {self.arrays[x]: named[x] for x in (_W, _G) if x in named},
            tuple(self.numbers.values()),
            tuple(made.values()),
            tuple(told.values()),
            tuple("W" if k == 0 else f"S{k - 1}" for k in own),
            tuple(k - 1 for k in rest),
            self._direct(results, named),
            loaded["feed"],
            loaded["value"],
            loaded["entries"],
            loaded.get("renew"),
            tuple(Between(call.name, _arrays(call), loaded[call.name]) for call in calls.values()),
        )

    def _renew(self) -> list[str]:
        """Return the source of what computes kept values, if there are any."""
        program = self.program
        if not program.renewed:
            return []
        found = shared(program, program.renewed)
        return [self.functions.write_renew(found, numbers_of(program), products=True)]

    def _made_between(self, x: Expr, call: Call, keys: str) -> str:
        """Return the source of a function that is called for what entries become."""
        given = dict(zip(call.arguments, _arrays(call), strict=True))
        return self._function(call.name, f"W, {', '.join(given.values())}{keys}", given, [x])

    def _direct(self, results: Sequence[Expr], named: Container[Expr]) -> tuple[int, ...]:
        """Return the numbers of states m × n that matrix operations read besides what is fed."""
        read = set(inside(results, lambda x: x in named))
        states = enumerate(slot.before for slot in self.program.slots)
        return tuple(k for k, x in states if x.shape == MATRIX and x in read)

    def _function(
        self,
        name: str,
        arguments: str,
        given: Mapping[Expr, str],
        roots: Sequence[Expr],
        reuse: str = "",
        calls: Mapping[Expr, Call] | None = None,
        products: bool = False,
    ) -> str:
        """Return the source of a part, which returns some expressions.

        With `reuse`, it may write in the memory of states that `entries` does not read.
        """
        emitter = Emitter(
            {},
            given,
            self.program.schedule,
            numbers=self.numbers,
            reuse=reuse,
            needed=self.arrays,
            calls=calls,
            products=products,
        )
        results = self.functions.results(emitter, [(x, None) for x in roots])
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        what = f"A part of one step of {self.program.declaration.name}"
        return function(f"def {name}({arguments}):", what, body)


def _arrays(call: Call) -> tuple[str, ...]:
    """Return names for the matrices of which entries are made."""
    return tuple(f"A{k}" for k in range(len(call.arguments)))
