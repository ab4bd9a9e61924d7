"""Witnesses: a group element, a loss and a step at which two trajectories part.

How trajectories are run is passed in, so that the checker itself does without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs

from normdsl.compiler.invariance.groups import Group
from normdsl.declaration import Declaration

#: Relative distance from which on two float64 trajectories have parted.
PARTED = 1e-6


class Simulation(Protocol):
    """Returns, per step, the relative distance between a run and its reparametrised twin."""

    def __call__(
        self,
        declaration: Declaration,
        group: Group,
        seed: int,
        shape: tuple[int, int],
        steps: int,
        hyper: Mapping[str, Any],
    ) -> list[float]:
        """Run both and compare."""
        ...


@attrs.frozen
class Witness:
    """A replayable counterexample.

    Args:
        declaration: the rule. group: the group.
        seed: decides the loss, the start and the group element. shape: of the weights.
        steps: how long the runs are. hyper: the hyper-parameters.
        step: first step at which the runs have parted. drift: relative distance at the last step.
    """

    declaration: Declaration
    group: Group
    seed: int
    shape: tuple[int, int]
    steps: int
    hyper: tuple[tuple[str, float], ...]
    step: int
    drift: float
    _simulate: Simulation = attrs.field(eq=False, repr=False)

    def replay(self) -> list[float]:
        """Run both trajectories again; return their relative distance at each step."""
        return self._simulate(
            self.declaration, self.group, self.seed, self.shape, self.steps, dict(self.hyper)
        )

    def __str__(self) -> str:
        settings = ", ".join(f"{k}={v:g}" for k, v in self.hyper)
        return (
            f"seed {self.seed}, W {self.shape[0]}×{self.shape[1]}, {settings}: the runs part at "
            f"step {self.step}, relative distance {self.drift:.2g} after {self.steps} steps"
        )


def search(
    declaration: Declaration, group: Group, simulate: Simulation, tries: int = 2
) -> Witness | None:
    """Return a witness that the rule is not invariant, or None if none was found.

    Tried are the default hyper-parameters first, then ones that make every term count, on wide and
    tall weights.
    """
    for hyper in _settings(declaration):
        for seed in range(tries):
            shape, steps = ((3, 4), (4, 3))[seed % 2], 6
            drift = simulate(declaration, group, seed, shape, steps, hyper)
            parted = [k + 1 for k, d in enumerate(drift) if d > PARTED]
            if parted:
                frozen = tuple(hyper.items())
                return Witness(
                    declaration, group, seed, shape, steps, frozen, parted[0], drift[-1], simulate
                )
    return None


def _settings(declaration: Declaration) -> Iterator[dict[str, float]]:
    defaults = {h.name: h.default for h in declaration.hyper}
    if all(v is not None for v in defaults.values()):
        yield {k: v for k, v in defaults.items() if v is not None}
    for size in (0.1, 1.0):
        yield {h.name: 0.5 if h.domain.high <= 1 else size for h in declaration.hyper}
