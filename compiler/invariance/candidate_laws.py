"""Guessing the laws of a recursion's states: proposals only, which `induction` then proves or not.

Starting from states of unknown law, each round types the bodies and reads off the laws they would
have; unknown exponents are solved for, and what stays open is taken from the initial values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import attrs
import sympy

from normdsl.compiler.invariance.coefficients import Varying, aged, closed, tidy
from normdsl.compiler.invariance.conditions import NONE
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, ZERO, Index, Law
from normdsl.compiler.invariance.scope import Scope
from normdsl.compiler.invariance.starts import possible
from normdsl.compiler.invariance.unit_equations import OLD, apart, on_unknowns, solutions, unknown
from normdsl.expressions.recursion import After, Carry, Recursion
from normdsl.expressions.shapes import STACK, Dim, Shape

_ROUNDS = 4
_MOST = 16
#: How many proposals are followed in one check: where recursions stand in one another, each of the
#: outer one asks for all of the inner one. Real rules and most random ones need fewer than thirty.
_MOST_TRIED = 100
#: The most operations in an exponent or shift of a proposal; those of real rules have about ten.
_LONGEST = 50

Laws = tuple[Law, ...]


def candidates(inference: Scope, recursion: Recursion, filled: bool = True) -> Iterator[Laws]:
    """Yield proposals for the laws of the states, most specific first.

    Args:
        inference: where the recursion stands. recursion: whose states.
        filled: whether places that stay open are taken from the initial values.

    Raises:
        Failure: if nothing can be proposed: a body has no law whatever those of the states.
    """
    starts = [[j.law for j in inference.judge(s)] for s in recursion.inits]
    seen: set[Laws] = set()
    failure: Failure | None = None
    frontier = _openings(inference, recursion)
    exponents = (x for law in frontier[0] for x in (law.unit, law.offset))
    unknowns = [x for x in exponents if isinstance(x, sympy.Dummy)]
    for _ in range(_ROUNDS):
        grown: list[Laws] = []
        for laws in frontier:
            try:
                read = list(_read_off(inference, recursion, laws, unknowns, starts))
            except Failure as error:
                failure = failure or error
                continue
            for proposal in filter(_is_short, read):
                for completed in (
                    _completed(inference.group, recursion, proposal, starts)
                    if filled
                    else [proposal]
                ):
                    if completed not in seen and len(seen) < _MOST:
                        seen.add(completed)
                        yield completed
                grown.append(proposal)
        frontier = list(dict.fromkeys(grown))[:_MOST]
    for completed in itertools.islice(itertools.product(*starts), _MOST) if filled else ():
        if completed not in seen:
            seen.add(completed)
            yield completed
    if failure is not None:
        raise failure


def _is_short(laws: Laws) -> bool:
    """Return whether exponents and shifts are short enough to go on with.

    Where no law holds, each round makes them longer, and solving for them takes ever more time.
    """
    parts = (x for law in laws for x in (law.unit, law.offset) if x is not None)
    return all(x.count_ops() <= _LONGEST for x in parts)


def assume(group: Group, recursion: Recursion, laws: Laws) -> dict[Carry, Law]:
    """Return the hypothesis of the induction: the law of each state inside the bodies."""
    return {recursion.carry(i): a_step_ago(group, law) for i, law in enumerate(laws)}


def a_step_ago(group: Group, law: Law) -> Law:
    """Return the law of a value one step later, when its unit and frames are a step old."""
    law = law.aged if law.frames or law.varying else law
    if not group.each_step or law.unit in (ZERO, None):
        return law
    return attrs.evolve(law, unit=sympy.expand(law.unit * OLD))


def _openings(inference: Scope, recursion: Recursion) -> list[Laws]:
    """Return states of unknown law, with unknown units first where the group has units."""
    group = inference.group
    shapes = [s.shape for s in recursion.inits]
    plain = tuple(_unsettled(group, shape, ZERO, ZERO) for shape in shapes)
    has_units = group.weight_unit != 0 or group.loss_unit != 0
    if not has_units and not group.shift:
        return [plain]
    open_ones = tuple(
        _unsettled(
            group,
            shape,
            unknown(f"u{i}") if has_units else ZERO,
            unknown(f"o{i}") if group.shift and _is_shifted(group, shape) else ZERO,
        )
        for i, shape in enumerate(shapes)
    )
    return [open_ones, plain]


def _is_matrix(group: Group, shape: Shape) -> bool:
    """Return whether an array has the shape of weights, or of their transpose."""
    return bool(group.entrywise(shape) or group.entrywise(shape.transposed))


def _is_shifted(group: Group, shape: Shape) -> bool:
    """Return whether an array may carry the shift of the weights."""
    return _is_matrix(group, shape) or shape == STACK


def _unsettled(group: Group, shape: Shape, unit: sympy.Expr, offset: sympy.Expr) -> Law:
    rows, cols = (FIXED if d is Dim.ONE else ANY for d in (shape.rows, shape.cols))
    return Law(rows, cols, ANY if _is_matrix(group, shape) else FIXED, unit, offset)


def _read_off(
    inference: Scope,
    recursion: Recursion,
    laws: Laws,
    unknowns: list[sympy.Symbol],
    starts: list[list[Law]],
) -> Iterator[Laws]:
    """Yield the laws the bodies have when the states have `laws`, units and shifts solved."""
    tried = inference.memory["tried"] = inference.memory.get("tried", 0) + 1
    if tried > _MOST_TRIED:
        raise Failure(recursion.bodies[0], "its states depend on one another in too many ways")
    inner = inference.within(assume(inference.group, recursion, laws))
    bodies = [inner.judge(b) for b in recursion.bodies]
    initial = _equations(laws, [start[0] for start in starts])
    for choice in itertools.islice(itertools.product(*bodies), _MOST):
        found = tuple(j.law for j in choice)
        if not _is_short(found):
            continue
        needed = NONE.union(*(j.conditions for j in choice))
        kept = [c for c in needed if on_unknowns(c)]
        kept += _equations(laws, found)
        for system in (kept + initial, kept) if unknowns else ():
            outer = {u for c in system for u in c.atoms(sympy.Dummy)}.difference(unknowns)
            both = [*unknowns, *sorted(outer, key=str)]
            for solution in solutions(system, unknowns) or (
                solutions(system, both) if outer else ()
            ):
                yield tuple(_solved(law, solution) for law in found)
        if unknowns:
            yield from _over_time(laws, found, [start[0] for start in starts])
        else:
            yield found


def _over_time(laws: Laws, found: Laws, starts: list[Law]) -> Iterator[Laws]:
    """Yield the laws of states whose units or shifts change from step to step, such as 1 − β^t."""
    places = [
        (i, place, getattr(law, place))
        for i, law in enumerate(laws)
        for place in ("unit", "offset")
        if isinstance(getattr(law, place), sympy.Dummy)
    ]
    known: dict[sympy.Symbol, sympy.Expr] = {}
    for _ in places:
        past = {old: aged(value) for old, value in known.items()}
        for i, place, old in places:
            step, start = getattr(found[i], place), getattr(starts[i], place)
            if old not in known and step is not None and start is not None:
                value = closed(step.subs(past), old, start)
                known |= {} if value is None else {old: value}
    if len(known) == len(places) and any(x.has(Varying) for x in known.values()):
        fresh = [
            {place: known[old] for j, place, old in places if j == i} for i in range(len(laws))
        ]
        yield tuple(attrs.evolve(law, **new) for law, new in zip(found, fresh, strict=True))


def _equations(first: Iterable[Law], second: Iterable[Law]) -> list[sympy.Basic]:
    """Return the equations that make two rows of laws agree in units and shifts."""
    return [
        sympy.Eq(gap, 0)
        for x, y in zip(first, second, strict=True)
        for a, b in ((x.unit, y.unit), (x.offset, y.offset))
        if a is not None and b is not None
        for gap in apart(sympy.expand(a - b))
    ]


def _solved(law: Law, solution: dict[sympy.Symbol, sympy.Expr]) -> Law:
    unit = None if law.unit is None else tidy(law.unit.subs(solution))
    return attrs.evolve(law, unit=unit, offset=tidy(law.offset.subs(solution)))


def _completed(
    group: Group, recursion: Recursion, proposal: Laws, starts: list[list[Law]]
) -> Iterator[Laws]:
    """Yield a proposal with its open places filled from the laws of the initial values.

    Where these are fixed, it may also be assumed that the state starts transformed, by any law: a
    metric that is given and stays. Which law is of use depends on what reads the state.
    """
    gaps = [ANY in (law.rows, law.cols, law.entries) for law in proposal]
    choices = [
        [_filled(law, s) for s in start] if gap else [law]
        for law, start, gap in zip(proposal, starts, gaps, strict=True)
    ]
    yield from itertools.islice(itertools.product(*choices), _MOST)
    for i, (law, gap) in enumerate(zip(proposal, gaps, strict=True)):
        if gap and law != ANYTHING:
            moved = possible(group, After(recursion, i))
            choices[i] += [_filled(law, start) for start in moved]
    if any(gaps):
        yield from itertools.islice(itertools.product(*choices), _MOST)


def _filled(law: Law, start: Law) -> Law:
    if law == ANYTHING == start:
        return law
    return Law(
        _first(law.rows, start.rows),
        _first(law.cols, start.cols),
        _first(law.entries, start.entries),
        next((u for u in (law.unit, start.unit) if u is not None), ZERO),
        law.offset,
    )


def _first(*places: Index) -> Index:
    return next((ix for ix in places if ix is not ANY), FIXED)
