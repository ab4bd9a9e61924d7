"""Witnesses: a group element, a loss and a step at which two trajectories part.

How trajectories are run is passed in, so that the checker itself does without torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import attrs

from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.declarations.rule import Rule
from normdsl.expressions.ports import shapes, sizes
from normdsl.show.page import Shown, paragraph
from normdsl.show.sparkline import curve, sparkline

#: A singular value above the cut, and up to so many times it, is too close to it.
CLEARANCE = 1e4
#: Weights that are tried, wide, tall and square.
SHAPES = ((3, 4), (4, 3), (4, 4))
#: Dimensions of a space that parameters share: fewer, so that products over it have full rank.
SHARED = 2
#: Relative distance from which on two float64 trajectories have parted.
PARTED = 1e-6
#: How long runs are.
STEPS = 6
#: Weights that have grown by such a factor have left the problem.
REACH = 100.0
#: How much shorter the steps are when a witness is looked at again, and the seeds it is tried with.
SLOWER, OTHERS = 0.3, (3, 6, 9)


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
        clearance: how many times the rank cut, relative to the largest singular value, is too close
            to it for a run to say anything.
        reach: a run whose weights have grown by more is no longer on its problem: it diverges.
    """

    declaration: Rule
    group: Group
    hyper: Mapping[str, float]
    seed: int = 0
    shape: tuple[int, int] = (3, 4)
    steps: int = STEPS
    size: Size = USUAL
    given: Conditions = NONE
    pairs: int = 0
    pace: float = 1.0
    reach: float = REACH
    clearance: float = CLEARANCE

    @property
    def weights(self) -> str:
        """The shape of the weights, or of each parameter, as text."""
        ports = self.declaration.ports
        found = shapes(ports, sizes(ports, self.shape, SHARED)) if ports else [self.shape]
        names = [port.name for port in ports] or ["W"]
        return ", ".join(f"{name} {m}×{n}" for name, (m, n) in zip(names, found, strict=True))


#: Returns the relative distance of the two runs at each step, 0 where it says nothing: where
#: rounding makes it, or an assumption is not met. Of random runs, how far means are apart.
Simulation = Callable[[Experiment], list[float]]


@attrs.frozen(repr=False)
class Witness(Shown):
    """A replayable counterexample.

    Args:
        experiment: what was run. step: first step at which the runs have parted.
        drift: their relative distance at the last step. curve: that at each step.
    """

    experiment: Experiment
    step: int
    drift: float
    _simulate: Simulation = attrs.field(eq=False, repr=False)
    curve: tuple[float, ...] = attrs.field(default=(), eq=False)

    def replay(self) -> list[float]:
        """Run both trajectories again; return their relative distance at each step.

        Of a rule with random draws: the largest difference of a mean of both samples.
        """
        return self._simulate(self.experiment)

    def __str__(self) -> str:
        e = self.experiment
        settings = "".join(f", {k}={v:g}" for k, v in e.hyper.items())
        where = f"seed {e.seed}, {e.weights}{settings}{e.size}: "
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

    def __repr__(self) -> str:
        return f"{self}  {sparkline(self.curve)}".rstrip()

    def _repr_html_(self) -> str:
        return paragraph(str(self)) + (curve(self.curve) if self.curve else "")


def part(experiment: Experiment, simulate: Simulation) -> Witness | None:
    """Return the witness that an experiment is, cut where the runs cannot be told apart again."""
    drift = simulate(experiment)
    step = next((k for k, d in enumerate(drift, 1) if d > PARTED), None)
    if step is None:
        return None
    apart = list(itertools.takewhile(lambda d: d > PARTED, drift[step - 1 :]))
    short = attrs.evolve(experiment, steps=step - 1 + len(apart))
    return Witness(short, step, apart[-1], simulate, tuple(drift[: short.steps]))


def confirmed(witness: Witness, simulate: Simulation) -> bool:
    """Return whether runs part with shorter steps too, and on another problem.

    What a diverging run or the rounding of a lucky number does is not seen again.
    """
    seen = witness.experiment
    steps = 1 if witness.step == 1 else max(seen.steps, STEPS)
    slower = () if seen.pairs else (attrs.evolve(seen, pace=SLOWER, steps=steps),)
    others = (
        attrs.evolve(seen, seed=seen.seed + k, steps=length)
        for length in dict.fromkeys((witness.step, max(seen.steps, STEPS)))
        for k in OTHERS
    )
    return all(_parts(x, simulate) for x in slower) and any(_parts(x, simulate) for x in others)


def _parts(experiment: Experiment, simulate: Simulation) -> bool:
    return any(d > PARTED for d in simulate(experiment))
