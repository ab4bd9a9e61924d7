"""Searching for witnesses: which experiments are made, on which problems, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import attrs

from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.prove import idle_parameters
from normdsl.compiler.invariance.witness import (
    REACH,
    SHAPES,
    Experiment,
    Simulation,
    Size,
    Witness,
    confirmed,
    part,
)
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.origins import Origin
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation
from normdsl.norms.iterated import Iterated

#: Runs of each kind that are compared in distribution, at a first look, then and in the end.
GLANCE, FEW, MANY = 2**10, 2**12, 2**14
#: How near to the rank cut runs are read that look for a limit, relative to it.
CLOSER = 300.0
#: After this many differences that did not show again, the search ends.
DOUBTFUL = 2
#: How many directions are kept, where that is a hyper-parameter.
_FEW_DIRECTIONS = 2
#: How long they are.
RANDOM_STEPS = 2
#: Entries of gradients are about ten, of weights one.
_GRADIENT = 10.0
#: Literals within these bounds are met by problems of the usual size.
_USUAL = (0.2, 5.0)
#: Beyond these, squares of squares overflow or vanish.
_COMPUTABLE = (1e-40, 1e40)
_MOST_LITERALS, _SIZED_STEPS = 2, 3


def search(
    declaration: Rule,
    group: Group,
    simulate: Simulation,
    tries: int = 3,
    given: Conditions = NONE,
) -> Witness | None:
    """Return a witness that the rule is not invariant, or None if none was found.

    Tried are the default hyper-parameters first, then ones that make every term count, and small
    steps, on wide, tall and square weights; then problems as small or large as the rule's numbers.
    Of a rule with random draws, distributions are compared: other draws may be what keeps single
    runs together.
    """
    doubtful = 0
    for experiment in _plan(declaration, group, tries, given):
        found = part(experiment, simulate)
        if found is not None and confirmed(found, simulate):
            return found
        doubtful += found is not None and experiment.pairs > 0
        if doubtful == DOUBTFUL:
            break  # samples are too coarse to settle a difference that only some of them show
    return None


def persists(
    declaration: Rule,
    group: Group,
    simulate: Simulation,
    vanishing: Sequence[str],
    given: Conditions = NONE,
) -> Witness | None:
    """Return a witness that runs part however near to zero some hyper-parameters are, or None.

    What holds at zero holds in the limit where the step is continuous; where it is not, the runs
    are as far apart at 1e-8 as at 1e-4. The rule is one that `can_sample`.
    """
    for hyper in settings(declaration):
        for seed, shape in enumerate(SHAPES):
            tried = _random(Experiment(declaration, group, hyper, seed, shape, given=given))
            near, nearer = (_near(tried, vanishing, size) for size in (1e-4, 1e-8))
            found = part(nearer, simulate)
            if found is None or not confirmed(found, simulate):
                continue
            stays = max(found.replay()) > 0.3 * max(simulate(near), default=0.0)
            if stays and not _fades(found, vanishing, simulate):
                return found
    return None


def _near(experiment: Experiment, vanishing: Sequence[str], size: float) -> Experiment:
    """Return an experiment near the limit; what jumps may do so by dividing by what vanishes."""
    hyper = {**experiment.hyper, **dict.fromkeys(vanishing, size)}
    return attrs.evolve(experiment, hyper=hyper, reach=REACH / size)


def _fades(witness: Witness, vanishing: Sequence[str], simulate: Simulation) -> bool:
    """Return whether the runs come together again, nearer to zero: what converges does not jump.

    A root of L + ε I converges only once ε is small beside the square of the smallest singular
    value of what L is made of. Where a run says nothing, its drift is 0, which shows nothing.
    """
    far = max(witness.replay())
    nearer = (_near(witness.experiment, vanishing, size) for size in (1e-10, 1e-12))
    closer = (attrs.evolve(x, clearance=CLOSER) for x in nearer)  # ε is above the cut on purpose
    return any(0.0 < max(simulate(x), default=0.0) < 0.3 * far for x in closer)


def _random(experiment: Experiment) -> Experiment:
    """Return an experiment as many runs, if the rule has random draws."""
    if Origin.CHANCE not in experiment.declaration.update.origins:
        return experiment
    return attrs.evolve(experiment, pairs=FEW, steps=RANDOM_STEPS)


def _plan(declaration: Rule, group: Group, tries: int, given: Conditions) -> Iterator[Experiment]:
    """Yield the experiments of a search."""
    hypers = list(settings(declaration))
    if Origin.CHANCE in declaration.update.origins:
        yield from _in_distribution(declaration, group, hypers[:2], tries, given)
        return
    for hyper in hypers:
        for seed in range(tries):
            yield Experiment(declaration, group, hyper, seed, SHAPES[seed % 3], given=given)
    for k, (size, hyper) in enumerate(_sized(declaration, hypers[0])):
        tried = Experiment(declaration, group, hyper, k, SHAPES[k % 3], _SIZED_STEPS, size)
        yield attrs.evolve(tried, given=given)


def _in_distribution(
    declaration: Rule,
    group: Group,
    hypers: Sequence[dict[str, float]],
    tries: int,
    given: Conditions,
) -> Iterator[Experiment]:
    """Yield experiments with many runs: few at first, then many for what is hard to see.

    None for a rule whose LMO is found by iteration: thousands of those take hours.
    """
    if not can_sample(declaration):
        return
    for pairs, most in ((GLANCE, 1), (FEW, tries), (MANY, min(tries - 1, 1))):
        for seed in range(most):
            for hyper in hypers:
                tried = Experiment(declaration, group, hyper, seed, SHAPES[seed % 3], given=given)
                yield attrs.evolve(tried, pairs=pairs, steps=RANDOM_STEPS)


def can_sample(declaration: Rule) -> bool:
    """Return whether distributions can be compared, if the rule has random draws."""
    update = declaration.update
    return Origin.CHANCE not in update.origins or not (_iterates(update) or declaration.ports)


def _iterates(expr: Expr) -> bool:
    """Return whether the LMO of a combination of norms is found by iteration."""
    return any(
        isinstance(x, Iterated) or (isinstance(x, NormOperation) and _iterates(x.definition))
        for x in walk(expr)
    )


def _sized(
    declaration: Rule, usual: Mapping[str, float]
) -> Iterator[tuple[Size, dict[str, float]]]:
    """Yield problems as large as a rule's numbers, with steps of the usual and a fitting length."""
    steps = idle_parameters(declaration)
    for size in _sizes(declaration):
        ratio = size.weights / size.gradients
        fitting = {k: v * ratio if k in steps else v for k, v in usual.items()}
        yield size, dict(usual)
        inside = all(declaration.hyperparameter(k).domain.contains(v) for k, v in fitting.items())
        if inside and fitting != usual:
            yield size, fitting


def _sizes(declaration: Rule) -> Iterator[Size]:
    """Yield sizes at which a number of the rule counts, beside gradients or weights or both.

    It may stand beside a power of them, or be the factor that brings them to the size of one.
    """
    for number in literals(declaration):
        for beside in (number, number**0.5, number**0.25, 1 / number):
            yield Size(1.0, beside / _GRADIENT)
            yield Size(1.0, beside / _GRADIENT / 4)
        for beside in (number, 1 / number):
            yield Size(beside, 1.0)
            yield Size(beside / 4, 1.0)
            yield Size(beside, beside / _GRADIENT)
            yield Size(1 / beside, beside / _GRADIENT)


def literals(declaration: Rule) -> list[float]:
    """Return the most extreme numbers in a rule, and of its defaults: thresholds, floors, eps."""
    steps = idle_parameters(declaration)
    written = [x.value for x in walk(declaration.update) if isinstance(x, Constant)]
    written += [Fraction(h.default) for h in declaration.hyper if h.default and h.name not in steps]
    low, high, (least, most) = *_USUAL, _COMPUTABLE
    sizes = {float(abs(x)) for x in written if least < abs(x) < most}
    unusual = {x for x in sizes if not low <= x <= high}
    return sorted(unusual, key=lambda x: -max(x, 1 / x))[:_MOST_LITERALS]


def settings(declaration: Rule) -> Iterator[dict[str, float]]:
    """Yield hyper-parameters: the defaults, if there are, and ones that make every term count."""
    defaults = {h.name: h.default for h in declaration.hyper}
    if all(v is not None for v in defaults.values()):
        yield sized(declaration, {k: v for k, v in defaults.items() if v is not None})
    steps = idle_parameters(declaration)
    for size, step in ((0.1, 0.1), (1.0, 1.0), (0.5, 1e-3)):
        chosen = {}
        for k, h in enumerate(declaration.hyper):
            value = (step if h.name in steps else size) * (1 + k / 16)
            chosen[h.name] = value if value < h.domain.high else 0.5 + k / 64
        yield sized(declaration, chosen)


def sized(declaration: Rule, values: dict[str, float]) -> dict[str, float]:
    """Return hyper-parameters with lengths below those of the weights that are tried."""
    lengths = [h for h in declaration.hyper if h.domain.length]
    return values | {h.name: _FEW_DIRECTIONS if h.domain.whole else 0.5 for h in lengths}
