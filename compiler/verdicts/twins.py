"""Twins as users run them: a rule on a problem, and on the same problem in other coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.batches.ambient import apart
from normdsl.compiler.invariance.groups import Group, named, require_acting
from normdsl.compiler.invariance.witness import PARTED
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.verdicts.elements import draw
from normdsl.compiler.verdicts.simulate import mapped, parted
from normdsl.compiler.verdicts.tasks import Task, task
from normdsl.compiler.verdicts.trajectory import run
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, NormdslError
from normdsl.show.page import Shown, paragraph, title
from normdsl.show.sparkline import curve, sparkline


@attrs.frozen(eq=False, repr=False)
class TwinRuns(Shown):
    """A run of a rule, and its twin in other coordinates; an invariant rule keeps them together.

    Args:
        declaration: the rule. group: the group. hyper: the hyper-parameters.
        weights: W_0 … W_k. twin: W̃_0 … W̃_k, as the twin sees them.
        mapped: ρ(g) W̃_0 … ρ(g) W̃_k, in the coordinates of W.
        drift: how far W and ρ(g) W̃ are apart after each step, relative to the way gone so far.
    """

    declaration: Rule
    group: Group
    hyper: dict[str, float]
    weights: list[Tensor]
    twin: list[Tensor]
    mapped: list[Tensor]
    drift: list[float]

    @property
    def parted(self) -> bool:
        """Whether they are ever further apart than rounding: by more than 1e-6."""
        return any(d > PARTED for d in self.drift)

    def __str__(self) -> str:
        steps = len(self.drift)
        head = f"{self.declaration.name}, {self.group.name} ({self.group.formula})"
        if not steps:
            return f"{head}: no step could be taken"
        first = next((k for k, d in enumerate(self.drift, 1) if d > PARTED), None)
        told = "the twins stay together" if first is None else f"the twins part at step {first}"
        return (
            f"{head}: {told}; relative distance {self.drift[-1]:.2g} after {steps} "
            f"step{'s' * (steps > 1)}  {sparkline(self.drift)}"
        )

    def _repr_html_(self) -> str:
        head, _, told = str(self).rpartition("  ")[0].rpartition(": ")
        return title(head) + paragraph(told) + curve(self.drift)


@apart()
def twins(
    rule: Rule,
    group: Group | str,
    *,
    steps: int = 20,
    seed: int = 0,
    shape: tuple[int, int] = (3, 4),
    start: Tensor | None = None,
    loss: Callable[[Tensor], Tensor] | None = None,
    **hyper: Any,
) -> TwinRuns:
    """Run a rule twice, on a problem and on the same problem in other coordinates.

    The twin starts at W̃₀ = ρ(g)⁻¹ W₀ and minimises f̃ with f̃(W̃) = f(ρ(g) W̃), for an element g
    that is drawn at random. A rule that is invariant under the group takes the same steps:
    ρ(g) W̃_t = W_t, up to rounding. All is computed in float64, from the rule's own initial states.
    A rule with random draws that is invariant in law has runs that part all the same.

    Args:
        rule: the rule. group: the group, or its name.
        steps: how many. seed: decides the group element and, where none is given, the problem.
        shape: of the weights of a random smooth problem.
        start: W₀ of a problem of one's own, a matrix.
        loss: its loss, a differentiable torch function of the matrix W.
        hyper: hyper-parameters; others have their defaults.

    Raises:
        NormdslError: for a group that is unknown, or does nothing to the rule's parameters.
        HyperparameterError: for an unknown hyper-parameter, or a value outside its domain.
        DeclarationError: if one of `start` and `loss` is given without the other, or for a rule
            over several parameters, or one that reads moments of a layer.

    Example:
        >>> import normdsl as nd
        >>> rule = nd.optimizer(lambda lr=0.01: nd.W + lr * nd.spectral.lmo(nd.G))
        >>> nd.twins(rule, "orthogonal").parted, nd.twins(rule, "scale").parted
        (False, True)
    """
    group = named(group)
    require_acting(group, rule.name, rule.ports)
    values = {name: float(x) for name, x in complete(rule, hyper).items()}
    posed = _posed(rule, shape, seed, start, loss)
    element = draw(group.on(rule.ports), _lengths(posed, shape), seed)
    first = run(rule, posed, steps, values)
    other = run(rule, posed.reparametrised(group, element), steps, values)
    back = mapped(other, group, element)
    drift = parted(first, back)
    return TwinRuns(rule, group, values, first.weights, other.weights, back.weights, drift)


def _lengths(posed: Task, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the lengths of W; of several parameters, those of the product they stand in."""
    if posed.packing is not None:
        return shape
    m, n = posed.start.shape
    return m, n


def _posed(
    rule: Rule,
    shape: tuple[int, int],
    seed: int,
    start: Tensor | None,
    loss: Callable[[Tensor], Tensor] | None,
) -> Task:
    """Return the problem: a random one, or that of a start and a loss."""
    if start is None and loss is None:
        return task(rule, shape, seed)
    asked = f"run twins of {rule.name} on a problem of one's own"
    if start is None or loss is None:
        raise DeclarationError(
            asked,
            why="a problem is a start and a loss, and one of them is missing",
            hint="pass start=torch.zeros(2, 2), loss=lambda W: W.square().sum(), or neither",
        )
    if rule.ports or rule.moments:
        raise DeclarationError(
            asked,
            why="the rule steps several parameters"
            if rule.ports
            else "the rule reads moments of a layer, which a loss of W alone has not",
            hint="leave out start and loss: a random problem has all that a rule reads",
        )
    if start.ndim != 2 or not start.is_floating_point():
        raise NormdslError(
            asked,
            why=f"the start is a tensor of shape {tuple(start.shape)} and {start.dtype}",
            hint="pass a matrix of floating point numbers",
        )
    chosen = loss
    return Task(start.double(), lambda w, step: chosen(w))
