"""Recursions by induction: guess laws, show that the bodies keep them, then look at the start."""

from __future__ import annotations

import itertools

import attrs

from normdsl.compiler.invariance.agreement import alike
from normdsl.compiler.invariance.candidate_laws import a_step_ago, assume, candidates
from normdsl.compiler.invariance.conditions import (
    GIVEN_STARTS,
    NONE,
    Assumption,
    Conditions,
    Kind,
    starting,
)
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.initial_values import FirstStep, starts_constant
from normdsl.compiler.invariance.judgement import Failure, Judgement, prune
from normdsl.compiler.invariance.laws import ANY, ANYTHING, INVARIANT, Law
from normdsl.compiler.invariance.scope import Scope
from normdsl.compiler.invariance.unit_equations import consistent, on_unknowns
from normdsl.declarations.folding import Folding
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.arithmetic import Mul
from normdsl.expressions.nodes.constants import as_expr, is_constant
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import After, Before, Recursion, State, free_carries, release
from normdsl.expressions.shapes import SCALAR
from normdsl.source import Where, located

_CHOICES = 12
#: What is taken of a value that is assumed to have no ties in it.
_TAKEN = {
    Kind.DISTINCT: "eigenvectors",
    Kind.SEPARATED: "singular vectors",
    Kind.UNTIED: "largest entries",
}


@attrs.frozen(eq=False)
class Settled:
    """Proved laws of a recursion's states, with the derivations of bodies and initial values."""

    laws: tuple[Law, ...]
    conditions: Conditions
    premises: tuple[Judgement, ...]


def judge_state(inference: Scope, expr: State) -> tuple[Judgement, ...]:
    """Return the judgements of a state.

    Raises:
        Failure: if no law is kept by the recursion.
    """
    if isinstance(expr, After) and expr.recursion.forgetful(expr.index):
        why = "it reads no state: it is what it is set to"
        bodies = inference.judge(expr.recursion.bodies[expr.index])
        return tuple(Judgement(expr, j.law, why, j.conditions, (j,)) for j in bodies)
    read = {c for body in expr.recursion.bodies for c in free_carries(body)}
    outer = frozenset((c, law) for c, law in inference.states.items() if c in read)
    if any(law.open for _, law in outer):
        return _supposed(inference, expr)
    key = (After(expr.recursion, 0, where=None), outer)
    known = inference.memory.get(key)
    if known is None:
        try:
            known = settle(inference, expr.recursion, expr.where)
        except Failure as failure:
            known = failure
        inference.memory[key] = known
    if isinstance(known, Failure):
        raise known
    found = []
    for s in known:
        law = s.laws[expr.index]
        if isinstance(expr, Before):
            law = a_step_ago(inference.group, law)
        why = "induction over the steps"
        begun = {c.of for c in s.conditions if isinstance(c, Assumption) and c.kind in GIVEN_STARTS}
        if After(expr.recursion, expr.index, where=None) in begun:
            why += ", from a start that is assumed to move so"
        found.append(Judgement(expr, law, why, s.conditions, s.premises))
    return prune(found)


def _supposed(inference: Scope, expr: State) -> tuple[Judgement, ...]:
    """Return what a state may move like where the laws of states around it are still open.

    These only help to find candidates, and prove nothing.
    """
    found: list[Judgement] = []
    try:
        for laws in candidates(inference, expr.recursion, filled=False):
            law = laws[expr.index]
            law = a_step_ago(inference.group, law) if isinstance(expr, Before) else law
            found.append(Judgement(expr, law, "a guess"))
    except Failure:
        if not found:
            raise
    return prune(found)


def settle(inference: Scope, recursion: Recursion, where: Where | None) -> list[Settled]:
    """Return every law of the states that can be proved.

    Raises:
        Failure: with the node at fault, if there is none.
    """
    first: Failure | None = None
    settled: list[Settled] = []
    with located(where):
        try:
            for laws in candidates(inference, recursion):
                try:
                    settled += by_induction(inference, recursion, laws)
                except Failure as failure:
                    first = first or failure
        except Failure as failure:
            first = first or failure
        if settled:
            return settled
        if first is None:
            raise Failure(After(recursion, 0), "no law of the state is kept from step to step")
        raise Failure(release(first.expr, recursion, Before), first.reason, first.premises)


def by_induction(inference: Scope, recursion: Recursion, laws: tuple[Law, ...]) -> list[Settled]:
    """Return the proofs that the recursion keeps `laws`; empty if it does not.

    Raises:
        Failure: if a body cannot be typed, or keeps a frame from one step to the next.
    """
    for law in laws:
        assert law == ANYTHING or ANY not in (law.rows, law.cols, law.entries), "an open guess"
    if any(free_carries(frame.of) for law in laws for frame in law.frames):
        raise _turning(recursion, laws)
    own = {recursion.carry(i) for i in range(len(laws))}
    if any(own & free_carries(v.expr) for law in laws for v in law.varying):
        return []  # what the old states were is not known outside
    begun = _start(inference, recursion, tuple(law.begun for law in laws))
    if begun is None:
        return []
    starts, premises = begun
    inner = inference.within(assume(inference.group, recursion, laws))
    found = []
    try:
        bodies = [inner.judge(b) for b in recursion.bodies]
    except Failure:
        if any(law.frames for law in laws):
            raise _turning(recursion, laws) from None
        raise
    for choice in itertools.islice(itertools.product(*bodies), _CHOICES):
        kept = NONE.union(*(j.conditions for j in choice))
        needed: Conditions | None = starts | _outside(recursion, kept, inference.group)
        for judgement, law in zip(choice, laws, strict=True):
            agreed = alike(judgement.law, law)
            needed = None if needed is None or agreed is None else needed | agreed
        if (
            needed is not None
            and consistent(needed)
            and not _vanishes(inference, recursion, needed)
        ):
            found.append(Settled(laws, needed, (*premises, *choice)))
    if not found and any(law.frames for law in laws):
        raise _turning(recursion, laws)
    return found


def _turning(recursion: Recursion, laws: tuple[Law, ...]) -> Failure:
    """Return the failure of a state kept in coordinates that are not those of the next step."""
    i, frame = next((i, f) for i, law in enumerate(laws) for f in law.frames)
    free = "signs" if frame.kind == "signs" else "a rotation"
    return Failure(
        After(recursion, i),
        f"it averages over steps a value in a frame known only up to {free}, which turns anew at "
        "every step; "
        "turn the old value along: Q.T @ nd.prev(Q) @ old",
    )


def stays_zero(inference: Scope, recursion: Recursion) -> bool:
    """Return whether the states start at zero and the bodies keep them there, as far as known.

    Inside a recursion whose states have no law yet, nothing is known, and they may.
    """
    states = {recursion.carry(i): ANYTHING for i in range(len(recursion.inits))}
    inner = inference.within(states)
    try:
        values = [*recursion.inits, *recursion.bodies]
        return all(any(j.law == ANYTHING for j in inner.judge(x)) for x in values)
    except Failure:
        return False
    except KeyError:  # the state of an enclosing recursion
        return True


def _vanishes(inference: Scope, recursion: Recursion, needed: Conditions) -> bool:
    """Return whether the states tend to zero as hyper-parameters do, without being zero.

    Zero moves by every law; what tends to zero moves as its leading term does.
    """
    gone = [c.of for c in needed if isinstance(c, Assumption) and c.kind is Kind.VANISHING]
    if not gone:
        return False
    folding = Folding(dict.fromkeys(gone, as_expr(0)))
    folded = attrs.evolve(
        recursion,
        inits=tuple(map(folding, recursion.inits)),
        bodies=tuple(map(folding, recursion.bodies)),
    )
    return stays_zero(inference, folded)


def _outside(recursion: Recursion, conditions: Conditions, group: Group) -> Conditions:
    """Return conditions met inside a body as conditions on the states seen from outside.

    Raises:
        Failure: if a value has no distinct eigenvalues at the first step, being a constant then,
            unless it is only multiplied, as its eigenvectors then stay.
    """
    named = {c for c in conditions if isinstance(c, Assumption)}
    outside = {attrs.evolve(c, of=_released(c, recursion)) for c in named}
    for c in outside:
        if c.kind in _TAKEN and group.actions and starts_constant(c.of):
            reason = (
                f"its {_TAKEN[c.kind]} are taken, and do not move at the first step: a constant's"
            )
            raise Failure(c.of, reason)
    return (conditions - named) | outside


def _released(condition: Assumption, recursion: Recursion) -> Expr:
    """Return what a condition is about outside of the recursion: a value with the old states.

    The rank of a state itself is that of the new ones, if it starts from zero or a multiple of I.
    """
    before = release(condition.of, recursion, Before)
    if condition.kind is Kind.FULL_RANK and isinstance(before, Before):
        start = FirstStep()(before)
        part = start.right if isinstance(start, Mul) and start.left.shape == SCALAR else start
        if part.is_identity or is_constant(start, 0):
            return release(condition.of, recursion, After)
    return before


def _start(
    inference: Scope, recursion: Recursion, laws: tuple[Law, ...]
) -> tuple[Conditions, tuple[Judgement, ...]] | None:
    """Return the conditions under which the initial values have the laws; None if never.

    The law of a start that reads W follows from that of W; that of any other start can be assumed.
    """
    needed, used = NONE, []
    along = inference.group.weights != INVARIANT
    for i, (init, law) in enumerate(zip(recursion.inits, laws, strict=True)):
        offered = itertools.chain(inference.judge(init), inference.specialised(init))
        matching = [(alike(j.law, law), j) for j in offered]
        legal = [
            (c | j.conditions, j)
            for c, j in matching
            if c is not None and not any(map(on_unknowns, c))
        ]
        state = After(recursion, i)
        if legal:
            conditions, judgement = min(legal, key=lambda pair: len(pair[0]))
            needed |= conditions
            used.append(judgement)
            if judgement.law != ANYTHING or inference.group.shift:
                needed |= {Assumption(Kind.STARTED, state)}
        elif law == ANYTHING or Origin.WEIGHTS in init.origins:
            return None
        else:
            needed |= {starting(state, law, along)}
    return needed, tuple(used)
