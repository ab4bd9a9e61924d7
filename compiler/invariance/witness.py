"""Witnesses: a group element, a loss and a step at which two trajectories part.

How trajectories are run is passed in, so that the checker itself does without torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import attrs

from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.decide import idle_parameters
from normdsl.compiler.invariance.groups import Group
from normdsl.declaration import Declaration
from normdsl.expr import Constant
from normdsl.graph import walk
from normdsl.nodes import Draw

#: Weights that are tried, wide, tall and square.
SHAPES = ((3, 4), (4, 3), (4, 4))
#: Relative distance from which on two float64 trajectories have parted.
PARTED = 1e-6
#: Weights that have grown by such a factor are no longer those of the problem.
REACH = 100.0
#: Runs of each kind that are compared in distribution, at first and in the end; their length.
FEW, MANY, RANDOM_STEPS = 2**12, 2**14, 2
#: How much shorter the steps are when a witness is looked at again, and the seeds it is tried with.
SLOWER, OTHERS = 0.3, (3, 6, 9)
#: Entries of gradients are about ten, of weights one.
_GRADIENT = 10.0
#: Literals within these bounds are met by problems of the usual size.
_USUAL = (0.2, 5.0)
#: Beyond these, squares of squares are no numbers.
_COMPUTABLE = (1e-40, 1e40)
_MOST_LITERALS, _SIZED_STEPS = 2, 3


@attrs.frozen
class Size:
    """How large a problem is, relative to the usual one.

    Args:
        weights: of its weights. gradients: of its gradients.
    """

    weights: float = 1.0
    gradients: float = 1.0

    def __str__(self) -> str:
        sides = (("W", self.weights), ("G", self.gradients))
        return "".join(f", {name} × {x:.2g}" for name, x in sides if x != 1)


USUAL = Size()


@attrs.frozen
class Experiment:
    """A run of a rule on a random problem, and its twin, reparametrised by a random group element.

    Args:
        declaration: the rule.
        group: the group.
        hyper: the hyper-parameters.
        seed: decides the loss, the start and the group element.
        shape: of the weights.
        steps: how long the runs are.
        size: how large weights and gradients are.
        given: assumptions that both runs honour.
        pairs: of a rule with random draws, how many runs of each kind are compared.
        pace: the part of every step that is taken; a witness takes whole steps.
        reach: a run whose weights have grown by more is no longer on its problem: it diverges.
    """

    declaration: Declaration
    group: Group
    hyper: Mapping[str, float]
    seed: int = 0
    shape: tuple[int, int] = (3, 4)
    steps: int = 6
    size: Size = USUAL
    given: Conditions = NONE
    pairs: int = 0
    pace: float = 1.0
    reach: float = REACH


#: Returns the relative distance of the two runs at each step, 0 where it says nothing: where
#: rounding makes it, or an assumption is not met. Of random runs, how far means are apart.
Simulation = Callable[[Experiment], list[float]]


@attrs.frozen
class Witness:
    """A replayable counterexample.

    Args:
        experiment: what was run. step: first step at which the runs have parted.
        drift: their relative distance at the last step.
    """

    experiment: Experiment
    step: int
    drift: float
    _simulate: Simulation = attrs.field(eq=False, repr=False)

    def replay(self) -> list[float]:
        """Run both trajectories again; return their relative distance at each step.

        Of a rule with random draws: the largest difference of a mean of both samples.
        """
        return self._simulate(self.experiment)

    def __str__(self) -> str:
        e = self.experiment
        settings = "".join(f", {k}={v:g}" for k, v in e.hyper.items())
        where = f"seed {e.seed}, W {e.shape[0]}×{e.shape[1]}{settings}{e.size}: "
        if e.pairs:
            return (
                f"{where}of {e.pairs} runs of each kind, the distributions part at step "
                f"{self.step}, the means of a function between −1 and 1 by {self.drift:.2g} "
                "at the end"
            )
        return (
            f"{where}the runs part at step {self.step}, relative distance {self.drift:.2g} "
            "at the end"
        )


def search(
    declaration: Declaration,
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
    for experiment in _plan(declaration, group, tries, given):
        found = part(experiment, simulate)
        if found is not None and confirmed(found, simulate):
            return found
    return None


def part(experiment: Experiment, simulate: Simulation) -> Witness | None:
    """Return the witness that an experiment is, cut where the runs cannot be told apart again."""
    drift = simulate(experiment)
    step = next((k for k, d in enumerate(drift, 1) if d > PARTED), None)
    if step is None:
        return None
    apart = list(itertools.takewhile(lambda d: d > PARTED, drift[step - 1 :]))
    short = attrs.evolve(experiment, steps=step - 1 + len(apart))
    return Witness(short, step, apart[-1], simulate)


def confirmed(witness: Witness, simulate: Simulation) -> bool:
    """Return whether runs part with shorter steps too, and on another problem.

    What a diverging run or the rounding of a lucky number does is not seen again.
    """
    seen = witness.experiment
    steps = 1 if witness.step == 1 else seen.steps
    slower = () if seen.pairs else (attrs.evolve(seen, pace=SLOWER, steps=steps),)
    others = (attrs.evolve(seen, seed=seen.seed + k, steps=witness.step) for k in OTHERS)
    return all(_parts(x, simulate) for x in slower) and any(_parts(x, simulate) for x in others)


def _parts(experiment: Experiment, simulate: Simulation) -> bool:
    return any(d > PARTED for d in simulate(experiment))


def _plan(
    declaration: Declaration, group: Group, tries: int, given: Conditions
) -> Iterator[Experiment]:
    """Yield the experiments of a search."""
    hypers = list(settings(declaration))
    if any(isinstance(x, Draw) for x in walk(declaration.update)):
        yield from _in_distribution(declaration, group, hypers[:2], tries, given)
        return
    for hyper in hypers:
        for seed in range(tries):
            yield Experiment(declaration, group, hyper, seed, SHAPES[seed % 3], given=given)
    for k, (size, hyper) in enumerate(_sized(declaration, hypers[0])):
        tried = Experiment(declaration, group, hyper, k, SHAPES[k % 3], _SIZED_STEPS, size)
        yield attrs.evolve(tried, given=given)


def _in_distribution(
    declaration: Declaration,
    group: Group,
    hypers: Sequence[dict[str, float]],
    tries: int,
    given: Conditions,
) -> Iterator[Experiment]:
    """Yield experiments with many runs: few at first, then many for what is hard to see."""
    for pairs, most in ((FEW, tries), (MANY, 1)):
        for seed in range(most):
            for hyper in hypers:
                tried = Experiment(declaration, group, hyper, seed, SHAPES[seed % 3], given=given)
                yield attrs.evolve(tried, pairs=pairs, steps=RANDOM_STEPS)


def _sized(
    declaration: Declaration, usual: Mapping[str, float]
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


def _sizes(declaration: Declaration) -> Iterator[Size]:
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


def literals(declaration: Declaration) -> list[float]:
    """Return the most extreme numbers in a rule, and of its defaults: thresholds, floors, eps."""
    steps = idle_parameters(declaration)
    written = [x.value for x in walk(declaration.update) if isinstance(x, Constant)]
    written += [Fraction(h.default) for h in declaration.hyper if h.default and h.name not in steps]
    low, high, (least, most) = *_USUAL, _COMPUTABLE
    sizes = {float(abs(x)) for x in written if least < abs(x) < most}
    unusual = {x for x in sizes if not low <= x <= high}
    return sorted(unusual, key=lambda x: -max(x, 1 / x))[:_MOST_LITERALS]


def persists(
    declaration: Declaration,
    group: Group,
    simulate: Simulation,
    vanishing: Sequence[str],
    given: Conditions = NONE,
) -> Witness | None:
    """Return a witness that runs part however near to zero some hyper-parameters are, or None.

    What holds at zero holds in the limit where the step is continuous; where it is not, the runs
    are as far apart at 1e-8 as at 1e-4.
    """
    for hyper in settings(declaration):
        for seed in range(3):
            shape = SHAPES[seed % 3]
            near, nearer = (
                Experiment(
                    declaration,
                    group,
                    {**hyper, **dict.fromkeys(vanishing, size)},
                    seed,
                    shape,
                    given=given,
                    reach=REACH / size,  # what jumps may do so by dividing by what vanishes
                )
                for size in (1e-4, 1e-8)
            )
            found = part(nearer, simulate)
            if found is None or not confirmed(found, simulate):
                continue
            if max(found.replay()) > 0.3 * max(simulate(near), default=0.0):
                return found
    return None


def settings(declaration: Declaration) -> Iterator[dict[str, float]]:
    """Yield hyper-parameters: the defaults, if there are, and ones that make every term count."""
    defaults = {h.name: h.default for h in declaration.hyper}
    if all(v is not None for v in defaults.values()):
        yield {k: v for k, v in defaults.items() if v is not None}
    steps = idle_parameters(declaration)
    for size, step in ((0.1, 0.1), (1.0, 1.0), (0.5, 1e-3)):
        chosen = {}
        for k, h in enumerate(declaration.hyper):
            value = (step if h.name in steps else size) * (1 + k / 16)
            chosen[h.name] = value if value < h.domain.high else 0.5 + k / 64
        yield chosen
