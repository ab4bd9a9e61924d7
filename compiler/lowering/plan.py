"""The plan of a step: what is computed, which states it has, and what they are called."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property

import attrs

from normdsl.compiler.lowering.derive import Derivation, Slot
from normdsl.compiler.lowering.fields import Field, kept_fields, state_fields, unused
from normdsl.compiler.lowering.phases import Phase, phases
from normdsl.compiler.lowering.refresh import combined, inside, kept_values, turning
from normdsl.compiler.lowering.rewrites import RewritingPass
from normdsl.compiler.lowering.simplify import Simplification
from normdsl.compiler.lowering.workers import ALWAYS, Ways, averaged, needed
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Draw, WorkersMean, next_weights
from normdsl.schedules.schedule import Schedule

#: A schedule that keeps all values that any schedule keeps.
_KEEPING = Schedule(refresh=2)


class Rewriting:
    """The passes that rewrite a step, in order; each takes what the one before made.

    Args:
        last: how many of them; all if None. workers: whether there may be several workers.
    """

    def __init__(self, last: int | None = None, workers: bool = False) -> None:
        self.derivation = Derivation(workers)
        self.passes: list[RewritingPass] = [self.derivation, Simplification()][:last]

    def __call__(self, expr: Expr) -> Expr:
        """Return what the passes make of an expression."""
        for each in self.passes:
            expr = each(expr)
        return expr


@attrs.frozen(eq=False)
class Plan:
    """One step of a declaration in primitive expressions.

    Args:
        declaration: what is lowered. schedule: how.
        slots: where its states come from. states: the states of the rule, a field for each slot.
        kept: the states that hold values which a schedule keeps. values: these values.
        update: the new weights. after: the new states, in the order of their fields.
        layers: the scalars that the step combines over all layers, in the order in which they are
            found: each survey takes the arguments of `step` and those found before, as `layers`,
            with what this layer had contributed to them, as `own`.
        workers: what is averaged over workers, likewise: functions are given the means that are
            needed at this step, `workers`, and of those that always are what was averaged, `alone`.
        needed: when each of these is needed.
        phases: the further evaluations of the loss, each with what it is asked; functions take the
            answers, which come in this order, as `answers`.
        names: the author's names of expressions.
        phase: name of a further argument of `step`, what to do with values that are kept between
            steps (see `refresh`); None if there are none.
        reuse: name of a further argument of `arrays`, whether it may write new states where old
            ones were; empty if it may fail half-way, in a factorisation.
        renewed: what is computed when kept values are: they, and the old states that turn along.
        homes: the numbers of the states that hold these from step to step.
        owned: names of the states that the rule has under any schedule.
        evaluated: name of the state at which the model is evaluated; None for the weights.
    """

    declaration: Rule
    schedule: Schedule
    slots: tuple[Slot, ...]
    states: tuple[Field, ...]
    kept: tuple[Field, ...]
    values: tuple[Expr, ...]
    update: Expr
    after: tuple[Expr, ...]
    layers: tuple[Across, ...]
    workers: tuple[WorkersMean, ...]
    needed: Mapping[WorkersMean, Ways]
    phases: tuple[Phase, ...]
    names: Mapping[Expr, str]
    phase: str | None
    reuse: str
    renewed: tuple[Expr, ...]
    homes: tuple[int, ...]
    owned: frozenset[str]
    evaluated: str | None

    @property
    def fields(self) -> tuple[Field, ...]:
        """All states, in order: those of the rule, then kept values."""
        return self.states + self.kept

    def kept_work(self, size: tuple[int, int]) -> int:
        """Return how much it takes to compute what is kept, about: k³ for a k × k matrix.

        Args:
            size: rows and columns of the weights.
        """
        lengths = [self.fields[k].lengths(size) for k in self.homes]
        return sum(rows * cols * max(rows, cols) for rows, cols in lengths)

    @property
    def graph(self) -> tuple[Expr, ...]:
        """The primitive expressions of the new weights and of the rule's new states."""
        return (self.update, *self.after)

    @cached_property
    def reads_last(self) -> bool:
        """Whether a step also reads what kept values, or states that turn, were before it."""
        olds = {self.slots[k].before for k in self.homes if k < len(self.slots)}
        roots = [*self.graph, *(x.arg for x in self.joined)]
        return not olds.isdisjoint(inside(roots, lambda x: x in self.renewed))

    @property
    def joined(self) -> tuple[Across | WorkersMean, ...]:
        """What is combined of all layers, and of all workers."""
        return self.layers + self.workers

    @property
    def always(self) -> frozenset[WorkersMean]:
        """The means over workers that every step needs."""
        return frozenset(x for x, ways in self.needed.items() if ways == ALWAYS)

    @cached_property
    def waiting(self) -> tuple[Across | WorkersMean, ...]:
        """What is combined of all layers, or workers, and reads kept values."""
        return tuple(x for x in self.joined if self.waits([x.arg]))

    def waits(self, roots: Iterable[Expr]) -> bool:
        """Return whether expressions read kept values, so that these come before them."""
        kept = set(self.renewed)
        return not kept.isdisjoint(inside(roots))

    @cached_property
    def needs(self) -> Mapping[Across | WorkersMean, int]:
        """For all that is combined, how many answers what is combined depends on."""
        return {
            x: self.answers_in([x.arg, *(self.renewed if x in self.waiting else ())])
            for x in self.joined
        }

    @cached_property
    def depends(self) -> Mapping[Across | WorkersMean, tuple[Across | WorkersMean, ...]]:
        """For all that is combined, what else must be combined before."""
        return {
            x: tuple(
                y
                for y in inside([x.arg, *(self.renewed if x in self.waiting else ())])
                if isinstance(y, Across | WorkersMean)
            )
            for x in self.joined
        }

    def answers_in(self, roots: Iterable[Expr]) -> int:
        """Return how many answers, in order, expressions depend on."""
        asked = [q for phase in self.phases for q in phase.asked]
        read = set(inside(roots))
        return max((k + 1 for k, q in enumerate(asked) if q in read), default=0)

    @cached_property
    def draws(self) -> bool:
        """Whether there are random numbers.

        Functions then take the `stream` of each matrix, of 64 bits, b × 1 × 1, and the `places` of
        its entries in it, b × m × n.
        """
        roots = [*self.graph, *(slot.init for slot in self.slots)]
        return any(isinstance(x, Draw) for x in inside(roots))


def planned(declaration: Rule, schedule: Schedule, workers: bool = False) -> Plan:
    """Return the plan of a rule's step: derived, simplified, its states named.

    Args:
        declaration: the rule. schedule: how it is computed.
        workers: whether several workers run it, of which a step is told; else there is one.
    """
    rewrite = Rewriting(workers=workers)
    derive = rewrite.derivation
    whole = rewrite(declaration.update)
    update = next_weights(whole)
    place = {x: k for k, x in enumerate(declaration.labels)}
    slots = sorted(closed(derive), key=lambda slot: place.get(slot.after, len(place)))
    after = tuple(rewrite(slot.after) for slot in slots)
    called = {rewrite(x): name for x, name in declaration.labels.items()}
    graph = (update, *after)
    scheduled = kept_values(graph, schedule)
    values = tuple(x for x in scheduled if x not in after)
    before, held = [slot.before for slot in slots], [*after, *values]
    hyper = {h.name for h in declaration.hyper}
    last = {x: before[after.index(x)] for x in scheduled if x in after}
    turns = turning(graph, last)
    states = state_fields(declaration, slots)
    taken = {f.name for f in states}
    most = [x for x in kept_values(graph, _KEEPING) if x not in after]
    owned = kept_fields(declaration, most, called, taken)
    kept = kept_fields(declaration, values, called, taken)
    return Plan(
        declaration,
        schedule,
        tuple(slots),
        states,
        kept,
        values,
        update,
        after,
        combined(graph),
        averaged(graph),
        needed(graph),
        phases(graph),
        called,
        unused("phase", hyper) if scheduled else None,
        "" if _may_fail(graph, {*scheduled, *turns}) else unused("reuse", hyper),
        (*scheduled, *turns),
        (*map(held.index, scheduled), *map(before.index, turns.values())),
        frozenset(f.name for f in (*states, *kept, *owned)),
        _evaluated(declaration, slots, states),
    )


def _evaluated(declaration: Rule, slots: Sequence[Slot], states: Sequence[Field]) -> str | None:
    """Return the name of the state at which the model is evaluated, if it is not the weights."""
    point = declaration.evaluate
    names = (f.name for slot, f in zip(slots, states, strict=True) if slot.after == point)
    return None if point is None else next(names)


def _may_fail(graph: Iterable[Expr], given: Container[Expr]) -> bool:
    """Return whether a step calls a factorisation, besides those of what it is given."""
    return any(x.role is not None and x not in given for x in inside(graph, lambda x: x in given))


def closed(derive: Derivation) -> list[Slot]:
    """Return all states, including those met only inside the new values of others."""
    done = 0
    while done < len(derive.slots):
        done = len(derive.slots)
        for slot in list(derive.slots.values()):
            derive(slot.after)
    return list(derive.slots.values())
