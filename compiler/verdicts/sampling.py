"""Sampling: rules with random draws, compared with their twins in distribution.

Many runs of a rule, and many of its twin, mapped back, are two samples of weights. If the rule is
invariant in law, both come from one distribution. A function that tells them apart as well as it
can is fitted to one pair of samples; its means over a second and a third pair, drawn afresh, then
differ by chance only. The functions are bounded, so that no draw, however large, decides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.batches.ambient import apart
from normdsl.compiler.invariance.witness import Experiment, Size
from normdsl.compiler.kernels.draws import folded, mixed
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.verdicts.ask import Ask, asking
from normdsl.compiler.verdicts.drift import ways
from normdsl.compiler.verdicts.simulate import Way, element_of, moved_hyper, moved_start, posed_by
from normdsl.compiler.verdicts.tasks import Task, task
from normdsl.declarations.rule import Rule
from normdsl.schedules.schedule import exact

#: Standard errors by which means must differ in each of two fresh pairs of samples: by chance they
#: do so in one of 10¹² looks.
SEEN = 5.0
#: How many cosines of random combinations of entries a fitted function is made of.
_COSINES = 192

Function = Callable[[Tensor], Tensor]


@apart()
def differences(experiment: Experiment) -> list[float]:
    """Return the difference of means at each step, 0 where it may be chance.

    Over several ways of starting, the smallest.
    """
    found: list[float] | None = None
    for way in ways(experiment) or ():
        own = by_way(experiment, way)
        found = own if found is None else [min(x) for x in zip(found, own, strict=True)]
        if not any(found):
            break
    return found or []


def by_way(experiment: Experiment, way: Way) -> list[float]:
    """Return the difference of means at each step for one way of starting, 0 where it is chance.

    A function is fitted to one pair of samples, and compared on two fresh ones.
    """
    found = []
    for fitted, *fresh in zip(*(_pair(experiment, way, k) for k in range(3)), strict=False):
        function = telling_apart(*fitted)
        gaps = [_gap(function(ours), function(theirs)) for ours, theirs in fresh]
        seen = all(gap > SEEN * error for gap, error in gaps)
        found.append(min(gap for gap, _ in gaps) if seen else 0.0)
    return found + [0.0] * (experiment.steps - len(found))


def telling_apart(ours: Tensor, theirs: Tensor) -> Function:
    """Return a function, between −1 and 1, that is larger on samples like the first.

    It is Fisher's linear discriminant of the entries, squashed, and of cosines of combinations of
    few or many of them, squashed in turn.
    """
    features = _features(ours)
    a, b = features(ours), features(theirs)
    middle = (a.mean(0) + b.mean(0)) / 2
    spread = torch.cov(a.mT) + torch.cov(b.mT)
    ridge = (1e-6 + spread.diagonal().mean() / a.shape[0]) * torch.eye(len(spread)).to(spread)
    direction = torch.linalg.solve(spread + ridge, a.mean(0) - b.mean(0))
    size = ((a - middle) @ direction).std().clamp_min(1e-300)
    return lambda x: torch.tanh((features(x) - middle) @ direction / size)


def _features(like: Tensor) -> Function:
    """Return bounded functions of samples that are scaled as these are."""
    low, middle, high = (torch.quantile(like, q, dim=0) for q in (0.25, 0.5, 0.75))
    width = torch.where(high > low, high - low, 1.0)
    generator = torch.Generator().manual_seed(0)
    count, few = like.shape[1], torch.rand(_COSINES, generator=generator)
    mask = torch.rand(count, _COSINES, generator=generator) < few**2 + 1 / count
    turns = torch.randn(count, _COSINES, generator=generator) * mask * 1.5
    turns = (turns / mask.sum(0).clamp_min(1).sqrt()).to(like)
    shifts = (6.3 * torch.rand(_COSINES, generator=generator)).to(like)

    def features(x: Tensor) -> Tensor:
        x = (x - middle) / width
        return torch.cat([torch.tanh(x), torch.cos(x @ turns + shifts)], 1)

    return features


def _gap(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """Return how far the means of two samples are apart, and the standard error of that."""
    error = ((ours.var() + theirs.var()) / len(ours)).sqrt() + 1 / len(ours)
    return float(ours.mean() - theirs.mean()), float(error)


def _pair(experiment: Experiment, way: Way, fresh: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, at each step, the weights of many runs, and those of the other kind, mapped back."""
    rule, group = experiment.declaration, experiment.group
    element = element_of(experiment)
    posed = posed_by(experiment)
    other = posed.reparametrised(group, element)
    moved = moved_start(experiment, posed, element, way)
    hyper = moved_hyper(experiment, element, way)
    seed = (experiment.seed, experiment.pairs, fresh)
    ours = _original(
        rule, experiment.shape, experiment.seed, tuple(experiment.hyper.items()),
        experiment.size, experiment.pairs, experiment.steps, fresh,
    )  # fmt: skip
    count = experiment.pairs, experiment.steps
    theirs = _samples(lower(rule.sized(hyper), exact), other, count, hyper, moved, _key(*seed, 1))
    back = torch.func.vmap(lambda w: element.move(group, w))
    for a, b in zip(ours, theirs, strict=False):
        yield a.flatten(1), back(b).flatten(1)


@lru_cache(maxsize=64)
def _original(
    rule: Rule,
    shape: tuple[int, int],
    seed: int,
    hyper: tuple[tuple[str, float], ...],
    size: Size,
    pairs: int,
    steps: int,
    fresh: int,
) -> list[Tensor]:
    """Return many runs of a rule itself, made once for all groups."""
    posed = task(rule, shape, seed).sized(size.weights, size.gradients)
    key = _key(seed, pairs, fresh, 0)
    return list(
        _samples(lower(rule.sized(dict(hyper)), exact), posed, (pairs, steps), dict(hyper), {}, key)
    )


def _samples(
    program: Program,
    posed: Task,
    count: tuple[int, int],
    hyper: dict[str, float],
    moved: dict[str, Tensor],
    key: int,
) -> Iterator[Tensor]:
    """Yield the weights of many independent runs of a rule after each step: so many, so long."""
    pairs, steps = count
    w = posed.start.expand(pairs, *posed.start.shape).clone()
    states = list(program.init(w, **_drawn(program, w, key, 0), **hyper))
    for k, field in enumerate(program.fields):
        states[k] = moved.get(field.name, states[k]).expand(pairs, -1, -1)
    for step in range(steps):
        slope = torch.func.grad_and_value(lambda x, step=step: posed.loss(x, step))
        grad, loss = torch.func.vmap(slope)(w)
        told: dict[str, Any] = {**_moments(program, posed, w, step), **hyper}
        told["t"] = torch.full((1, 1, 1), step + 1.0, dtype=w.dtype)
        told["loss"] = loss.reshape(-1, 1, 1)
        told |= _drawn(program, w, key, step + 1)
        try:
            told |= _answers(program, asking(posed, step), w, grad, states, told)
            told |= _layers(program, w, grad, states, told)
            w, *after = program.step(w, grad, *states, **told)
        except LinAlgError:  # of the matrices of one run, which no other run needs
            return
        states = [_matrices(x, pairs) for x in after]
        if not bool(torch.isfinite(w).all()):
            return
        yield w


def _matrices(x: Any, pairs: int) -> Tensor:
    """Return a new state of all runs: one that is a hyper-parameter comes as a number."""
    whole = torch.as_tensor(x, dtype=torch.float64)
    return whole if whole.ndim > 2 else whole.expand(pairs, 1, 1)


def _moments(program: Program, posed: Task, w: Tensor, step: int) -> dict[str, Tensor]:
    if not program.declaration.moments:
        return {}
    seen = torch.func.vmap(lambda x: posed.moments(x, step))(w)
    return {name: seen[name] for name in program.declaration.moments}


def _drawn(program: Program, w: Tensor, key: int, step: int) -> dict[str, Tensor]:
    """Return what the random numbers of a step are taken from, a stream for each run."""
    if not program.draws:
        return {}
    runs = torch.arange(len(w)).reshape(-1, 1, 1)
    stream = folded(mixed(torch.full_like(runs, key)), torch.full_like(runs, step))
    places = torch.arange(w[0].numel()).reshape(1, *w.shape[1:])
    return {"stream": folded(stream, runs), "places": places}


def _layers(
    program: Program, w: Tensor, grad: Tensor, states: list[Tensor], told: dict[str, Any]
) -> dict[str, tuple[Tensor, ...]]:
    """Return what layers share, of the one layer that each run has."""
    if not program.layers:
        return {}
    own: tuple[Tensor, ...] = ()
    for node, survey in zip(program.layers, program.surveys, strict=True):
        if program.needs[node] <= len(told.get("answers", ())):
            (found,) = survey(w, grad, *states, **told, layers=own, own=own)
            own += (found.expand(w.shape[0], 1, 1),)
        else:  # it is asked for once that is known
            own += (w.new_zeros(1, 1, 1),)
    return {"layers": own, "own": own}


def _answers(
    program: Program,
    ask: Ask,
    w: Tensor,
    grad: Tensor,
    states: list[Tensor],
    told: dict[str, Any],
) -> dict[str, tuple[Tensor, ...]]:
    """Return what the loss answers in each run, at the points where it is asked."""
    if not program.phases:
        return {}
    found: tuple[Tensor, ...] = ()
    for phase, point in zip(program.phases, program.points, strict=True):
        known = {**told, "answers": found}
        known |= _layers(program, w, grad, states, known)
        at, *directions = (x.expand(w.shape) for x in point(w, grad, *states, **known))
        along = iter(directions)
        for query in phase.asked:
            given = (at,) if query.along is None else (at, next(along))
            answer = torch.func.vmap(partial(ask, query.asked.name, fresh=query.fresh))
            lengths = lengths_of(query.shape, (w.shape[1], w.shape[2]))
            found += (answer(*given).reshape(len(w), *lengths),)
    return {"answers": found}


def _key(*parts: int) -> int:
    """Return one number for several."""
    key = 1
    for part in parts:
        key = (key * 1_000_003 + part) % 2**63
    return key
