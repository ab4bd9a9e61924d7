"""Drift: how far runs and their twins part, where that can count as a witness.

A witness meets every assumption that was given: states start by every law that the assumption
allows, and what is assumed to have full rank has it, in both runs. Runs do not count from where a
singular value comes close to the cut below which it is taken for zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.invariance import starts
from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.witness import CLEARANCE, PARTED, Experiment
from normdsl.compiler.lowering.derive import Singular
from normdsl.compiler.lowering.plan import planned
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.verdicts.probe import Probe, outside
from normdsl.compiler.verdicts.simulate import (
    Twins,
    Way,
    element_of,
    moved_hyper,
    moved_start,
    posed_by,
)
from normdsl.compiler.verdicts.simulate import twins as run_twins
from normdsl.compiler.verdicts.trajectory import Run
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Cholesky, Inverse, MatrixPower, Param, Polar, Stream
from normdsl.expressions.shapes import Dim
from normdsl.expressions.traversal import walk
from normdsl.schedules.schedule import exact

#: Operations that take small singular values or eigenvalues for zero.
CUTTING = Polar | Inverse | MatrixPower | Singular | Cholesky


def drifts(experiment: Experiment) -> list[float]:
    """Return the drift at each step, the smallest over all ways of starting; 0 where void."""
    found: list[float] | None = None
    for way in ways(experiment) or ():
        pair = run_twins(experiment, way)
        drift = pair.significant_drift
        if any(d > PARTED for d in drift):
            sound = sound_steps(experiment, way, pair)
            drift = [d if k < sound else 0.0 for k, d in enumerate(drift)]
        found = drift if found is None else [min(x) for x in zip(found, drift, strict=False)]
        if not any(d > PARTED for d in found):
            break
    return found or []


def ways(experiment: Experiment) -> list[Way] | None:
    """Return how the other run may start, by the assumptions; None if in too many ways."""
    given, group = experiment.given, experiment.group
    names = experiment.declaration.labels
    found = starts.ways(starts.told(given, group))
    about = [c for c in given if isinstance(c, Assumption) and c.kind is Kind.FLOOR]
    scaled = [c.of.name for c in about if isinstance(c.of, Param) and not group.each_step]
    if found is None:
        return None
    return [Way({names[s]: law for s, law in laws.items()}, scaled) for laws in found]


def sound_steps(experiment: Experiment, way: Way, pair: Twins) -> int:
    """Return for how many steps both runs meet the assumptions, and stay clear of cuts."""
    rule, asked = experiment.declaration, _asked(experiment.given)
    probe = _probe(rule, asked)
    if probe is None:
        return experiment.steps
    posed = posed_by(experiment)
    element = element_of(experiment)
    hyper, moved = (
        moved_hyper(experiment, element, way),
        moved_start(experiment, posed, element, way),
    )
    rows = zip(
        _values(rule, probe, pair.original, dict(experiment.hyper), {}),
        _values(rule, probe, pair.other, hyper, moved),
        strict=False,
    )
    for step, (ours, theirs) in enumerate(rows):
        kept = all(HOLDS[c.kind](x) for row in (ours, theirs) for c, x in zip(asked, row))  # noqa: B905
        cut = (*ours[len(asked) :], *theirs[len(asked) :])
        if not (kept and all(_clear(x, experiment.clearance) for x in cut)):
            return step
    return experiment.steps


def _values(
    rule: Rule, probe: Probe, path: Run, hyper: dict[str, float], moved: dict[str, Tensor]
) -> list[list[Tensor]]:
    """Return what is watched at each step of a run; up to where it cannot be computed."""
    names = rule.labels
    if not path.seen:
        return []
    begun = probe.start(path.weights[0], hyper, path.seen[0][3])
    begun = [moved.get(names.get(s.after, ""), x) for s, x in zip(probe.slots, begun, strict=True)]
    try:
        return probe.run(path.seen, begun, hyper)
    except (NormdslError, ArithmeticError, LinAlgError):
        return []


def _asked(given: Conditions) -> tuple[Assumption, ...]:
    """Return the assumptions on ranks and eigenvalues that a run can meet or violate."""
    about = [c for c in given if isinstance(c, Assumption) and c.kind in HOLDS]
    return tuple(sorted(filter(_applies, about), key=str))


def _applies(c: Assumption) -> bool:
    """Return whether an assumption, perhaps one of all parts of a rule, is about this one."""
    matrix = c.kind is Kind.UNTIED or Dim.ONE not in (c.of.shape.rows, c.of.shape.cols)
    moves = any(isinstance(x, Stream) for x in walk(c.of))
    return matrix and moves and (c.kind is not Kind.DISTINCT or c.of.facts.symmetric)


@lru_cache(maxsize=64)
def _probe(declaration: Rule, asked: tuple[Assumption, ...]) -> Probe | None:
    """Return the probe of what is asked, then of what operations with a cut are applied to."""
    graph = planned(declaration.sized({}), exact).graph
    cut = dict.fromkeys(x.arg for x in inside(graph) if isinstance(x, CUTTING))
    wanted: list[Expr] = [*(outside(declaration, c.of) for c in asked), *cut]
    return Probe(declaration, wanted) if wanted else None


def _cut(values: Tensor) -> float:
    """Return the ratio to the largest below which kernels take a singular value for zero."""
    return float(4 * torch.finfo(values.dtype).eps * values.shape[-1])


def _clear(x: Tensor, times: float = CLEARANCE) -> bool:
    """Return whether no singular value of x lies just above the cut."""
    values = torch.linalg.svdvals(x)
    ratios = values / values[..., :1].clamp_min(1e-300)
    return not bool(((ratios > _cut(values)) & (ratios < times * _cut(values))).any())


def full_rank(x: Tensor) -> bool:
    """Return whether a matrix has full rank, and not only just."""
    values = torch.linalg.svdvals(x)
    return bool(values[-1] > 1e-8 * values[0])


def distinct(x: Tensor) -> bool:
    """Return whether a symmetric matrix has distinct eigenvalues, and not only just."""
    values = torch.linalg.eigvalsh(x)
    gaps = values[1:] - values[:-1]
    return bool((gaps > 1e-6 * values.abs().max()).all())


def separated(x: Tensor) -> bool:
    """Return whether a matrix has distinct singular values, and not only just."""
    values = torch.linalg.svdvals(x)
    return bool((values[:-1] - values[1:] > 1e-6 * values[0]).all())


def untied(x: Tensor) -> bool:
    """Return whether no two entries are equal, or nearly so."""
    values = x.flatten().sort().values
    return bool((values.diff() > 1e-6 * values.abs().max()).all())


#: How assumptions are tested on a value along a run.
HOLDS: dict[Kind, Callable[[Tensor], bool]] = {
    Kind.FULL_RANK: full_rank,
    Kind.DISTINCT: distinct,
    Kind.SEPARATED: separated,
    Kind.UNTIED: untied,
}
