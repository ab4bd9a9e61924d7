"""Verdicts of random programs, judged by runs that the checker had no part in."""

from __future__ import annotations

import contextlib
import enum
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import draws
import runs
from runs import Finding, Said, Setting

from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.compiler.verdicts.check import check
from normdsl.declaration import Declaration

#: Seconds after which a check counts as failed.
PATIENCE = 60


class Outcome(enum.Enum):
    """A verdict and what runs say of it."""

    INVARIANT = "invariant"
    CONDITIONAL = "invariant if"
    REFUTED = "not invariant"
    MISSED = "unknown, runs part"
    INCOMPLETE = "unknown, runs agree"
    OPEN = "unknown, runs unreadable"
    UNREADABLE = "answered, runs unreadable"
    NOT_SIMULATED = "assumption not simulated"
    UNCONFIRMED = "refuted, runs agree"
    DISAGREEMENT = "proved, runs part"
    ERROR = "no answer"


#: Outcomes that must not occur, and the ones in which numerics can settle the question.
WRONG = (Outcome.DISAGREEMENT, Outcome.UNCONFIRMED, Outcome.ERROR)
UNKNOWN = (Outcome.MISSED, Outcome.INCOMPLETE)
ANSWERED = (Outcome.INVARIANT, Outcome.CONDITIONAL, Outcome.REFUTED)
SETTLED = (*ANSWERED, *UNKNOWN)


@attrs.frozen
class Case:
    """One program in one group."""

    group: str
    outcome: Outcome
    answer: str
    drift: float
    seconds: float


#: Generic hyper-parameters: no two agree, and none is a simple fraction.
VALUES = (
    {"lr": 0.011, "eps": 0.137, "decay": 0.23, "beta": 0.62, "gamma": 0.34}
    | {"p": 0.37, "q": -0.83, "k": 0.71},
    {"lr": 0.0023, "eps": 0.42, "decay": 0.11, "beta": 0.87, "gamma": 0.55}
    | {"p": 1.27, "q": 0.59, "k": 1.43},
    {"lr": 0.33, "eps": 0.058, "decay": 0.39, "beta": 0.28, "gamma": 0.91}
    | {"p": 0.81, "q": 1.37, "k": 0.19},
)
#: Shapes, seeds and hyper-parameters of the runs, and of more runs where these leave a doubt.
PLAN = (((3, 4), 11, 0), ((4, 3), 12, 1), ((3, 3), 13, 0))
DOUBT = (((3, 4), 21, 2), ((4, 3), 22, 2), ((2, 5), 23, 0), ((5, 2), 24, 2), ((2, 2), 25, 1))
#: What a hyper-parameter is set to that tends to 0.
VANISHING = 1e-13
#: Length of the first step, relative to the weights: short enough not to diverge.
PACE = 0.05

#: The laws of the draws of a rule that has none.
NO_DRAWS: Mapping[str, Law] = {}

Plan = Sequence[tuple[tuple[int, int], int, int]]


def settings(verdict: Verdict, plan: Plan) -> Iterator[Setting]:
    """Yield settings that meet the equations and limits of a verdict, as far as there are any."""
    if any(c.kind not in runs.MET for c in runs.assumptions(verdict)):
        return
    names = [h.name for h in verdict.declaration.hyper]
    limits = {c.of.name: VANISHING for c in verdict.limits}
    for shape, seed, k in plan:
        values = runs.meeting(verdict, {name: VALUES[k].get(name, 0.3) for name in names} | limits)
        if values is not None:
            yield paced(verdict, Setting(shape, seed, tuple(values.items())))


def paced(verdict: Verdict, setting: Setting) -> Setting:
    """Return a setting with the learning rate, where it is free, scaled to short steps."""
    hyper = dict(setting.hyper)
    asked = {str(s) for c in runs.equations(verdict) for s in c.free_symbols}
    if "lr" not in hyper or "lr" in asked:
        return setting
    relative = runs.first_step(verdict.declaration, setting)
    if not PACE / 10 < relative < PACE * 10:
        hyper["lr"] *= PACE / relative
    return attrs.evolve(setting, hyper=tuple(hyper.items()))


def judge(declaration: Declaration, group: Group) -> Case:
    """Check a rule, and judge the verdict by runs of its own."""
    begun = time.perf_counter()
    try:
        with patience(PATIENCE):
            verdict = check(declaration, group)
            outcome, drift, answer = *settle(*draws.still(verdict)), verdict.answer
    except Exception as error:
        outcome, drift, answer = Outcome.ERROR, 0.0, repr(error)
    return Case(group.name, outcome, answer, drift, time.perf_counter() - begun)


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Raise an error if what is inside takes longer."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def settle(verdict: Verdict, drawn: Mapping[str, Law] = NO_DRAWS) -> tuple[Outcome, float]:
    """Return the outcome of a verdict, and the drift it was judged by.

    Args:
        verdict: the verdict, on a rule whose draws are held still. drawn: the laws of these.
    """
    match verdict.status:
        case Status.INVARIANT | Status.CONDITIONAL:
            return _proved(verdict, drawn)
        case Status.UNKNOWN if drawn:
            return Outcome.OPEN, 0.0  # another coupling of the draws may keep the runs together
        case Status.REFUTED:
            return _refuted(verdict)
        case _:
            found = [*findings(verdict, PLAN)]
            if not any(f.said is Said.PART for f in found):
                found += findings(verdict, DOUBT)
            return _first(found, {Said.PART: Outcome.MISSED, Said.AGREE: Outcome.INCOMPLETE})


def _proved(verdict: Verdict, drawn: Mapping[str, Law]) -> tuple[Outcome, float]:
    conditional = verdict.status is Status.CONDITIONAL
    agreed = Outcome.CONDITIONAL if conditional else Outcome.INVARIANT
    found = list(findings(verdict, PLAN, drawn))
    if not found:
        return Outcome.NOT_SIMULATED, 0.0
    outcomes = {Said.PART: Outcome.DISAGREEMENT, Said.AGREE: agreed}
    return _first(found, outcomes, Outcome.UNREADABLE)


def _refuted(verdict: Verdict) -> tuple[Outcome, float]:
    """Run the witness's experiment again, and others if rounding may be to blame."""
    if verdict.witness is None:
        return Outcome.ERROR, 0.0
    seen = verdict.witness.experiment
    hyper = tuple((name, float(value)) for name, value in seen.hyper.items())
    setting = Setting(seen.shape, seen.seed, hyper, seen.steps, seen.size)
    if seen.pairs:
        found = [runs.sampled(seen.declaration, verdict.group, setting)]
    else:
        found = [runs.compare(verdict.declaration, verdict.group, setting)]
    if found[0].said is not Said.PART:
        found += findings(verdict, PLAN + DOUBT)
    outcomes = {Said.PART: Outcome.REFUTED, Said.AGREE: Outcome.UNCONFIRMED}
    return _first(found, outcomes, Outcome.UNREADABLE)


def _first(
    found: Sequence[Finding], outcomes: Mapping[Said, Outcome], otherwise: Outcome = Outcome.OPEN
) -> tuple[Outcome, float]:
    """Return the outcome of the first thing that is said, and the largest drift that says it."""
    for said, outcome in outcomes.items():
        drifts = [f.drift for f in found if f.said is said]
        if drifts:
            return outcome, max(drifts)
    return otherwise, 0.0


def findings(
    verdict: Verdict, plan: Plan, drawn: Mapping[str, Law] = NO_DRAWS
) -> Iterator[Finding]:
    """Yield what runs say wherever the verdict's conditions are met."""
    for setting in settings(verdict, plan):
        states = runs.transported(verdict, dict(setting.hyper))
        if states is None:
            continue
        states |= {name: runs.valued(law, dict(setting.hyper)) for name, law in drawn.items()}
        found = runs.compare(verdict.declaration, verdict.group, setting, states)
        if found.said is Said.PART and verdict.status is not Status.REFUTED:
            if not runs.assumed(verdict, setting):
                continue
            found = runs.compare(verdict.declaration, verdict.group, setting, states, doubt=4)
        yield found


def judge_all(declaration: Declaration) -> list[Case]:
    """Judge a rule in every group."""
    return [judge(declaration, group) for group in groups.ALL]
