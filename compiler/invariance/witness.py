"""Witnesses: a group element, a loss and a step at which two trajectories part.

How trajectories are run is passed in, so that the checker itself does without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from normdsl.compiler.invariance.decide import idle_parameters
from normdsl.compiler.invariance.groups import Group
from normdsl.declaration import Declaration
from normdsl.origins import Origin

#: Weights that are tried, wide, tall and square.
SHAPES = ((3, 4), (4, 3), (4, 4))
#: Relative distance from which on two float64 trajectories have parted.
PARTED = 1e-6


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
    """

    declaration: Declaration
    group: Group
    hyper: Mapping[str, float]
    seed: int = 0
    shape: tuple[int, int] = (3, 4)
    steps: int = 6


#: Returns the relative distance of the two runs at each step.
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
        """Run both trajectories again; return their relative distance at each step."""
        return self._simulate(self.experiment)

    def __str__(self) -> str:
        e = self.experiment
        settings = "".join(f", {k}={v:g}" for k, v in e.hyper.items())
        return (
            f"seed {e.seed}, W {e.shape[0]}×{e.shape[1]}{settings}: the runs part at "
            f"step {self.step}, relative distance {self.drift:.2g} at the end"
        )


def search(
    declaration: Declaration, group: Group, simulate: Simulation, tries: int = 3
) -> Witness | None:
    """Return a witness that the rule is not invariant, or None if none was found.

    Runs with random draws are not compared: other draws may be what keeps them together. Tried are
    the default hyper-parameters first, then ones that make every term count, and small steps, on
    wide, tall and square weights.
    """
    if Origin.CHANCE in declaration.update.origins:
        return None
    for hyper in _settings(declaration):
        for seed in range(tries):
            shape = SHAPES[seed % 3]
            experiment = Experiment(declaration, group, hyper, seed, shape)
            drift = simulate(experiment)
            parted = [k for k, d in enumerate(drift, 1) if d > PARTED]
            if parted:
                return Witness(experiment, parted[0], drift[-1], simulate)
    return None


def persists(
    declaration: Declaration, group: Group, simulate: Simulation, vanishing: Sequence[str]
) -> Witness | None:
    """Return a witness that runs part however near to zero some hyper-parameters are, or None.

    What holds at zero holds in the limit where the step is continuous; where it is not, the runs
    are as far apart at 1e-8 as at 1e-4, and nearer to zero as well.
    """
    for hyper in _settings(declaration):
        for seed in range(3):
            shape = SHAPES[seed % 3]
            near, nearer = (
                Experiment(
                    declaration, group, {**hyper, **dict.fromkeys(vanishing, size)}, seed, shape
                )
                for size in (1e-4, 1e-8)
            )
            drift = simulate(nearer)
            parted = [k for k, d in enumerate(drift, 1) if d > PARTED]
            if parted and max(drift) > 0.3 * max(simulate(near), default=0.0):
                found = Witness(nearer, parted[0], drift[-1], simulate)
                if not _fades(found, vanishing):
                    return found
    return None


def _fades(witness: Witness, vanishing: Sequence[str]) -> bool:
    """Return whether the runs come together again, nearer to zero: what converges does not jump.

    A root of L + ε I converges only once ε is small beside the square of the smallest singular
    value of what L is made of. Where a run says nothing, its drift is 0, which shows nothing.
    """
    far, experiment = max(witness.replay()), witness.experiment
    for size in (1e-10, 1e-12):
        hyper = {**experiment.hyper, **dict.fromkeys(vanishing, size)}
        drift = max(witness._simulate(attrs.evolve(experiment, hyper=hyper)), default=0.0)
        if 0.0 < drift < 0.3 * far:
            return True
    return False


def _settings(declaration: Declaration) -> Iterator[dict[str, float]]:
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
