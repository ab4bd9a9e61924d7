"""Recursions by induction: guess a law, show that the body keeps it, then look at the start.

The guess may be wrong in any way: it only proposes. What is accepted is proved afterwards with the
proposed laws as hypotheses, by the same rules as everything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import sympy

from normdsl.compiler.invariance.conditions import (
    NONE,
    Assumption,
    Conditions,
    Kind,
    consistent,
    equal,
    on_unknowns,
    unknown,
)
from normdsl.compiler.invariance.judgement import Failure, Judgement, prune
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, Index, Law
from normdsl.recursion import After, Before, Carry, Recursion, State, release
from normdsl.shapes import Dim, Shape

if TYPE_CHECKING:
    from normdsl.compiler.invariance.infer import Inference

_ROUNDS = 4
_CANDIDATES = 12


@attrs.frozen(eq=False)
class Settled:
    """Proved laws of a recursion's states, with the derivations of bodies and initial values."""

    laws: tuple[Law, ...]
    conditions: Conditions
    premises: tuple[Judgement, ...]


def judge_state(inference: Inference, expr: State) -> tuple[Judgement, ...]:
    """Return the judgements of a state.

    Raises:
        Failure: if no law is kept by the recursion.
    """
    key = (
        b"recursion"
        + After(expr.recursion, 0, where=None).fingerprint
        + repr(sorted((str(k.fingerprint), str(v)) for k, v in inference.states.items())).encode()
    )
    known = inference.memory.get(key)
    if known is None:
        try:
            known = settle(inference, expr.recursion)
        except Failure as failure:
            known = failure
        inference.memory[key] = known
    if isinstance(known, Failure):
        raise known
    return prune(
        Judgement(expr, s.laws[expr.index], "induction over the steps", s.conditions, s.premises)
        for s in known
    )


def settle(inference: Inference, recursion: Recursion) -> list[Settled]:
    """Return every law of the states that can be proved.

    Raises:
        Failure: with the node at fault, if there is none.
    """
    first: Failure | None = None
    settled: list[Settled] = []
    try:
        for laws in guesses(inference, recursion):
            try:
                settled += prove(inference, recursion, laws)
            except Failure as failure:
                first = first or failure
    except Failure as failure:
        first = first or failure
    if settled:
        return settled
    if first is None:
        raise Failure(After(recursion, 0), "no law of the state is kept from step to step")
    raise Failure(release(first.expr, recursion, Before), first.reason, first.premises)


def guesses(inference: Inference, recursion: Recursion) -> Iterator[tuple[Law, ...]]:
    """Yield proposals for the laws of the states, most specific first.

    Starting from states with unknown laws, each round types the bodies and reads off the laws they
    would have; unknown units are solved for, with and without the units of the initial values.

    Raises:
        Failure: if a body cannot be typed even when every law of the states is granted.
    """
    units = tuple(unknown(f"u{i}") for i in range(len(recursion.inits)))
    open_laws = tuple(_unsettled(b.shape, u) for b, u in zip(recursion.bodies, units, strict=True))
    seen: set[tuple[Law, ...]] = set()
    frontier = [open_laws]
    for _ in range(_ROUNDS):
        grown: list[tuple[Law, ...]] = []
        for laws in frontier:
            for proposal in _read_off(inference, recursion, laws, units):
                if proposal not in seen and len(seen) < _CANDIDATES:
                    seen.add(proposal)
                    yield proposal
                    grown.append(proposal)
        frontier = grown


def _unsettled(shape: Shape, unit: sympy.Symbol) -> Law:
    rows, cols = (FIXED if d is Dim.ONE else ANY for d in (shape.rows, shape.cols))
    matrix = {shape.rows, shape.cols} == {Dim.M, Dim.N}
    return Law(rows, cols, ANY if matrix else FIXED, unit)


def _read_off(
    inference: Inference,
    recursion: Recursion,
    laws: tuple[Law, ...],
    units: tuple[sympy.Symbol, ...],
) -> Iterator[tuple[Law, ...]]:
    """Yield the laws the bodies have when the states have `laws`, units solved."""
    inner = inference.within(_assume(recursion, laws))
    bodies = [inner.judge(b) for b in recursion.bodies]
    starts = [inference.judge(s)[0].law.unit for s in recursion.inits]
    for choice in itertools.islice(itertools.product(*bodies), _CANDIDATES):
        needed = NONE.union(*(j.conditions for j in choice))
        equations = [c for c in needed if isinstance(c, sympy.Equality) and c.has(*units)]
        equations += [sympy.Eq(a.unit, j.law.unit) for a, j in zip(laws, choice, strict=True)
                      if a.unit is not None and j.law.unit is not None]  # fmt: skip
        initial = [sympy.Eq(u, s) for u, s in zip(units, starts, strict=True) if s is not None]
        for system in (equations + initial, equations):
            for solution in sympy.solve(system, units, dict=True) if system else [{}]:
                yield tuple(_with_unit(j.law, u, solution)
                            for j, u in zip(choice, units, strict=True))  # fmt: skip


def _with_unit(law: Law, unit: sympy.Symbol, solution: dict[sympy.Symbol, sympy.Expr]) -> Law:
    if law == ANYTHING:
        return law
    return attrs.evolve(law, unit=sympy.expand(solution.get(unit, unit)))


def _assume(recursion: Recursion, laws: tuple[Law, ...]) -> dict[Carry, Law]:
    return {recursion.carry(i): law for i, law in enumerate(laws)}


def prove(inference: Inference, recursion: Recursion, laws: tuple[Law, ...]) -> list[Settled]:
    """Return the proofs that the recursion keeps `laws`; empty if it does not.

    Raises:
        Failure: if a body cannot be typed, or keeps a frame from one step to the next.
    """
    for i, law in enumerate(laws):
        if law.frames:
            raise Failure(
                After(recursion, i),
                f"it averages over steps a value expressed in {law.frames[0]}, which turns anew at "
                "every step",
            )
    inner = inference.within(_assume(recursion, laws))
    bodies = [inner.judge(b) for b in recursion.bodies]
    starts, begun = _start(inference, recursion, laws)
    found = []
    for choice in itertools.islice(itertools.product(*bodies), _CANDIDATES):
        kept = NONE.union(*(j.conditions for j in choice))
        needed: Conditions | None = starts | _outside(recursion, kept)
        for judgement, law in zip(choice, laws, strict=True):
            agreed = alike(judgement.law, law)
            needed = None if needed is None or agreed is None else needed | agreed
        if needed is not None and consistent(needed):
            found.append(Settled(laws, needed, (*begun, *choice)))
    return found


def _outside(recursion: Recursion, conditions: Conditions) -> Conditions:
    """Return conditions met inside a body as conditions on the states seen from outside."""
    return frozenset(
        attrs.evolve(c, of=release(c.of, recursion, After)) if isinstance(c, Assumption) else c
        for c in conditions
    )


def _start(
    inference: Inference, recursion: Recursion, laws: tuple[Law, ...]
) -> tuple[Conditions, tuple[Judgement, ...]]:
    """Return the conditions under which the initial values have the laws."""
    needed, used = NONE, []
    for i, (init, law) in enumerate(zip(recursion.inits, laws, strict=True)):
        offered = itertools.chain(inference.judge(init), inference.specialised(init))
        matching = [(alike(j.law, law), j) for j in offered]
        legal = [
            (c | j.conditions, j)
            for c, j in matching
            if c is not None and not any(map(on_unknowns, c))
        ]
        if legal:
            conditions, judgement = min(legal, key=lambda pair: len(pair[0]))
            needed |= conditions
            used.append(judgement)
        else:
            needed |= {Assumption(Kind.TRANSPORTED, After(recursion, i))}
    return needed, tuple(used)


def alike(found: Law, wanted: Law) -> Conditions | None:
    """Return the conditions under which a law `found` is the law `wanted`; None if never."""
    if found == ANYTHING:
        return NONE
    places = zip(
        (found.rows, found.cols, found.entries),
        (wanted.rows, wanted.cols, wanted.entries),
        strict=True,
    )
    results = [_alike_index(a, b) for a, b in places] + [equal(found.unit, wanted.unit)]
    if any(r is None for r in results):
        return None
    return NONE.union(*(r for r in results if r is not None))


def _alike_index(found: Index, wanted: Index) -> Conditions | None:
    if found == wanted or found is ANY:
        return NONE
    if (found.cls.orthogonal and found != FIXED) or (wanted.cls.orthogonal and wanted != FIXED):
        return None
    same = found.element == wanted.element or FIXED in (found, wanted)
    return equal(found.power, wanted.power) if same else None
