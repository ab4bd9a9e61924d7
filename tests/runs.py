"""Pairs of runs, judged: does a rule follow a reparametrisation, as far as float64 can tell?

A run is compared with its reparametrised twin, and with itself under disturbances of the size of
rounding. Where disturbances alone grow visible, runs say nothing.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Mapping
from functools import lru_cache

import attrs
import draws
import sympy
import torch
from torch import Tensor

from normdsl.compiler.invariance.conditions import Assumption, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import FIXED, Frame, Law
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.invariance.witness import USUAL, Experiment, Size
from normdsl.compiler.runtime.functional import Functional
from normdsl.compiler.verdicts import trajectory
from normdsl.compiler.verdicts.drift import HOLDS
from normdsl.compiler.verdicts.elements import Element, draw
from normdsl.compiler.verdicts.probe import Probe
from normdsl.compiler.verdicts.sampling import by_way
from normdsl.compiler.verdicts.simulate import Way, mapped, parted
from normdsl.compiler.verdicts.tasks import Task, task
from normdsl.compiler.verdicts.trajectory import Run
from normdsl.declaration import Declaration
from normdsl.expressions.recursion import Before
from normdsl.schedules.schedule import exact

STEPS = 5
#: Steps that must be readable before runs count as agreeing.
ENOUGH = 3
#: Relative distance from which on runs have parted; a parting is this many times the noise.
PARTED, ABOVE_NOISE = 1e-7, 100.0
DISTURBANCE = 1e-13
LARGEST = 1e6
#: Runs of each kind of a rule with random draws.
SAMPLES = 2**13


class Said(enum.Enum):
    """What runs say of an invariance."""

    AGREE = "agree"
    PART = "part"
    UNREADABLE = "unreadable"


@attrs.frozen
class Finding:
    """What a pair of runs says, and the largest drift that was read."""

    said: Said
    drift: float


@attrs.frozen
class Setting:
    """What a run depends on besides the rule.

    Args:
        shape: of the weights. seed: decides loss, start and group element. hyper: values by name.
        steps: how long the runs are. size: how large weights and gradients are.
    """

    shape: tuple[int, int]
    seed: int
    hyper: tuple[tuple[str, float], ...]
    steps: int = STEPS
    size: Size = USUAL


def run(
    declaration: Declaration,
    posed: Task,
    setting: Setting,
    state: Mapping[str, Tensor] | None = None,
    noise: torch.Generator | None = None,
    largest: float = LARGEST,
) -> Run:
    """Run a rule from a start, and from given states; stop where it diverges."""
    starts = _held(declaration, posed, setting) | dict(state or {})
    return trajectory.run(
        declaration,
        posed,
        setting.steps,
        dict(setting.hyper),
        state=starts,
        jitter=noise,
        disturbance=DISTURBANCE,
        largest=largest * setting.size.weights,
    )


def _begun(declaration: Declaration, posed: Task, setting: Setting) -> dict[str, Tensor]:
    """Return the states at the start, draws that are held still among them."""
    starts = dict(Functional(declaration, exact).init(posed.start, **dict(setting.hyper)))
    return starts | draws.values(declaration, starts, setting.seed)


def _held(declaration: Declaration, posed: Task, setting: Setting) -> dict[str, Tensor]:
    """Return the draws of a rule that are held still."""
    names = draws.held_names(declaration)
    starts = _begun(declaration, posed, setting) if names else {}
    return {name: starts[name] for name in names}


def posed(declaration: Declaration, setting: Setting) -> Task:
    """Return the problem of a setting."""
    size = setting.size
    return task(declaration, setting.shape, setting.seed).sized(size.weights, size.gradients)


@lru_cache(maxsize=64)
def original(declaration: Declaration, setting: Setting) -> Run:
    return run(declaration, posed(declaration, setting), setting)


@lru_cache(maxsize=256)
def first_step(declaration: Declaration, setting: Setting) -> float:
    """Return the length of the first step that is not zero, relative to the weights; else 1."""
    problem = posed(declaration, setting)
    for steps in (1, setting.steps):
        short = attrs.evolve(setting, steps=steps)
        path = run(declaration, problem, short, largest=math.inf)
        lengths = [float((b - a).norm()) for a, b in itertools.pairwise(path.weights)]
        found = next((x for x in lengths if 0 < x < math.inf), 0.0)
        if found:
            return found / float(problem.start.norm())
    return 1.0


@lru_cache(maxsize=256)
def noise_of(declaration: Declaration, setting: Setting, seed: int) -> tuple[float, ...]:
    """Return how far rounding alone drives a run away from itself, step by step."""
    generator = torch.Generator().manual_seed(seed)
    other = run(declaration, posed(declaration, setting), setting, noise=generator)
    return padded(parted(original(declaration, setting), other), setting)


def twin(
    declaration: Declaration,
    group: Group,
    setting: Setting,
    states: Mapping[str, Law],
    noise: torch.Generator | None = None,
) -> tuple[Run, Element]:
    """Return the reparametrised run, the given states started by their laws."""
    problem = posed(declaration, setting)
    element = draw(group, setting.shape, setting.seed)
    ours = _begun(declaration, problem, setting)
    moved = {name: element.undo(law, ours[name]) for name, law in states.items()}
    other = problem.reparametrised(group, element)
    return run(declaration, other, setting, moved, noise), element


def compare(
    declaration: Declaration,
    group: Group,
    setting: Setting,
    states: Mapping[str, Law] | None = None,
    doubt: int = 1,
) -> Finding:
    """Return what a pair of runs says; `doubt` is how often the twin itself is disturbed."""
    states = states or {}
    ours = original(declaration, setting)
    theirs, element = twin(declaration, group, setting, states)
    drift = parted(ours, mapped(theirs, group, element))
    noise = [noise_of(declaration, setting, k) for k in range(2 * doubt)]
    for k in range(doubt):
        if judged(drift, noise).said is not Said.PART:
            break
        generator = torch.Generator().manual_seed(k)
        other, _ = twin(declaration, group, setting, states, generator)
        noise.append(padded(parted(theirs, other), setting))
    return judged(drift, noise)


def sampled(declaration: Declaration, group: Group, setting: Setting) -> Finding:
    """Return what many pairs of runs say of a rule with random draws: of their distribution."""
    asked = Experiment(
        declaration, group, dict(setting.hyper), setting.seed, setting.shape, 2, setting.size,
        pairs=SAMPLES,
    )  # fmt: skip
    gaps = by_way(asked, Way())
    return Finding(Said.PART if any(gaps) else Said.AGREE, max(gaps, default=0.0))


def padded(drift: list[float], setting: Setting) -> tuple[float, ...]:
    """Return a drift with infinity for the steps that a diverging run did not take."""
    return tuple(drift) + (math.inf,) * (setting.steps - len(drift))


def judged(drift: list[float], noises: list[tuple[float, ...]]) -> Finding:
    """Judge the drift of two runs, step by step, until noise hides it."""
    readable = 0
    noise = [max(own) for own in zip(*noises, strict=True)]
    for k, (gap, own) in enumerate(zip(drift, noise, strict=False)):
        if gap > max(PARTED, ABOVE_NOISE * own):
            return Finding(Said.PART, gap)
        if ABOVE_NOISE * own > PARTED:
            break
        readable = k + 1
    moves = any(own > 0 for own in noise[:readable])
    if readable >= ENOUGH and moves:
        return Finding(Said.AGREE, max(drift[:readable]))
    return Finding(Said.UNREADABLE, max(drift, default=0.0))


def assumptions(verdict: Verdict) -> list[Assumption]:
    """Return the named assumptions of a verdict."""
    return [c for c in verdict.conditions if isinstance(c, Assumption)]


def equations(verdict: Verdict) -> list[sympy.Basic]:
    """Return the equations among the conditions of a verdict."""
    return [c for c in verdict.conditions if not isinstance(c, Assumption)]


def transported(verdict: Verdict, hyper: Mapping[str, float]) -> dict[str, Law] | None:
    """Return the law of each state whose start is assumed; None if nothing says which."""
    names, found = verdict.declaration.labels, {}
    for c in assumptions(verdict):
        if c.kind in STARTS:
            state = c.of
            same = (state, Before(state.recursion, state.index, where=None))
            shown = [line.law.begun for line in verdict.proof if line.expr in same]
            laws = {unframed(valued(law, hyper)) for law in shown or [c.law] if law is not None}
            if len(laws) != 1 or state not in names or any(map(_open, laws)):
                return None
            found[names[state]] = laws.pop()
    return found


def unframed(law: Law) -> Law:
    """Return a law without frames, which are free: a start in coordinates is left as it is."""
    places = {name: getattr(law, name) for name in ("rows", "cols", "entries")}
    free = {name: FIXED for name, ix in places.items() if isinstance(ix.element, Frame)}
    return attrs.evolve(law, **free)


def valued(law: Law, hyper: Mapping[str, float]) -> Law:
    """Return a law with numbers for the hyper-parameters in its exponents."""

    def number(x: sympy.Expr | None) -> sympy.Expr | None:
        symbols = () if x is None else x.free_symbols
        return x if x is None else x.subs({s: hyper[s.name] for s in symbols if s.name in hyper})

    rows, cols, entries = (
        attrs.evolve(ix, power=number(ix.power)) for ix in (law.rows, law.cols, law.entries)
    )
    return Law(rows, cols, entries, number(law.unit), number(law.offset), law.twin)


def _open(law: Law) -> bool:
    """Return whether a law has exponents that are not known as numbers."""
    exponents = (law.unit, law.offset, law.rows.power, law.cols.power, law.entries.power)
    return any(x is not None and x.free_symbols for x in exponents)


def meeting(verdict: Verdict, values: Mapping[str, float]) -> dict[str, float] | None:
    """Return hyper-parameters near `values` that meet the verdict's equations, or None."""
    met, fixed = dict(values), set()
    asked = equations(verdict)
    for equation in sorted(asked, key=lambda c: len(c.free_symbols)):
        names = sorted(str(s) for s in equation.free_symbols)
        free = [name for name in names if name not in fixed]
        if free:
            root = _root(verdict.declaration, equation, free[0], met)
            if root is None:
                return None
            met[free[0]] = root
        fixed.update(names)
    wrong = [e for e in asked if abs(_residual(e, met)) > 1e-9]
    return None if wrong else met


def _residual(equation: sympy.Eq, values: Mapping[str, float]) -> float:
    gap = equation.lhs - equation.rhs
    return float(gap.subs({s: values[str(s)] for s in gap.free_symbols}))


def _root(
    declaration: Declaration, equation: sympy.Eq, name: str, values: Mapping[str, float]
) -> float | None:
    """Solve an equation for one hyper-parameter within its domain."""
    gap = sympy.nsimplify(equation.lhs - equation.rhs)
    (x,) = (s for s in gap.free_symbols if str(s) == name)
    gap = gap.subs({s: sympy.nsimplify(values[str(s)]) for s in gap.free_symbols - {x}})
    domain = declaration.hyperparameter(name).domain
    try:
        roots = [float(r) for r in sympy.solve(gap, x) if r.is_real]
    except (NotImplementedError, TypeError):
        roots = []
    for guess in () if roots else (0.3, 1.0, 3.0):
        try:
            roots.append(float(sympy.nsolve(gap, x, guess)))
        except (ValueError, ZeroDivisionError, TypeError):
            continue
    return next((r for r in roots if domain.contains(r)), None)


def assumed(verdict: Verdict, setting: Setting) -> bool:
    """Return whether full rank and distinct eigenvalues, where assumed, hold along the run."""
    found = [c for c in assumptions(verdict) if c.kind in HOLDS]
    if not found:
        return True
    ours, hyper = original(verdict.declaration, setting), dict(setting.hyper)
    probe = Probe(verdict.declaration, [c.of for c in found])
    history = probe.run(ours.seen, probe.start(ours.weights[0], hyper), hyper)
    return all(HOLDS[c.kind](x) for row in history for c, x in zip(found, row, strict=True))


#: Assumptions on how a state starts.
STARTS = (Kind.TRANSPORTED, Kind.UNMOVED)
#: The kinds of assumption that runs can be made to meet, or be told not to meet.
MET = (*STARTS, *HOLDS)
