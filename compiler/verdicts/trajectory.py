"""Trajectories: a rule run on a problem, in float64 under the exact schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.invariance.witness import REACH
from normdsl.compiler.runtime.functional import Functional
from normdsl.compiler.verdicts.ask import asking, objectives
from normdsl.compiler.verdicts.jointly import Jointly
from normdsl.compiler.verdicts.probe import Seen
from normdsl.compiler.verdicts.tasks import Task
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError
from normdsl.schedules.schedule import exact

#: A gradient beyond which a run counts as diverged.
TOO_STEEP = 1e60
#: Relative size of the disturbance that tells a broken invariance from amplified rounding.
DISTURBANCE = 1e-12


@attrs.frozen(eq=False)
class Run:
    """A trajectory.

    Args:
        weights: W_0 … W_k. points: x_0 … x_k, where the model is evaluated, if that is elsewhere.
        seen: weights, gradient, loss and moments before each step.
    """

    weights: list[Tensor]
    seen: list[Seen]
    points: list[Tensor] = attrs.field(factory=list)

    def first(self, steps: int) -> Run:
        """Return the run up to a step."""
        return Run(self.weights[: steps + 1], self.seen[:steps], self.points[: steps + 1])


def run(
    declaration: Rule,
    posed: Task,
    steps: int,
    hyper: Mapping[str, Any],
    *,
    state: Mapping[str, Tensor] | None = None,
    jitter: torch.Generator | None = None,
    disturbance: float = DISTURBANCE,
    pace: float = 1.0,
    reach: float = REACH,
    largest: float | None = None,
) -> Run:
    """Run a rule in float64 under the exact schedule; stop where it diverges, or makes no number.

    Args:
        declaration: the rule. posed: the problem. steps: how many at most. hyper: its values.
        state: starts of states, where they are not the rule's own.
        jitter: draws a relative disturbance of the start, gradients and moments, entry by entry.
        disturbance: its size. pace: the part of every step that is taken.
        reach: the run diverges where weights have grown by more. largest: or an entry is larger.
    """
    rule = pure(declaration, posed)
    shaken = partial(disturbed, jitter=jitter, size=disturbance)
    w = shaken(posed.start)
    largest = reach * float(w.abs().max()) if largest is None else largest
    now = {**rule.init(w, **hyper), **(state or {})}
    evaluated = rule.evaluated
    found = Run([w], [], [] if evaluated is None else [w])
    for step in range(steps):
        at = w.detach().requires_grad_()
        value = posed.loss(at, step)
        (grad,) = torch.autograd.grad(value, at)
        if not float(grad.abs().max()) < TOO_STEEP:
            break
        moments = posed.moments(at.detach(), step)
        given: dict[str, Any] = {
            name: disturbed(moments[name], jitter, disturbance) for name in declaration.moments
        }
        given["loss"] = value.detach()
        asides = moments | ({"ask": asking(posed, step)} if declaration.asks else {})
        asides |= rule.streams(w, grad) if isinstance(rule, Jointly) else {}
        given |= objectives(posed, step) if declaration.asks else {}
        try:
            new, now = rule.update(disturbed(grad, jitter, disturbance), now, w, **given, **hyper)
        except (GradientError, ArithmeticError, LinAlgError):
            break
        new = new if pace == 1 else w + pace * (new - w)
        if not float(new.abs().max()) <= largest:
            break
        found.seen.append((w, grad, value.detach(), asides))
        found.weights.append(new)
        if evaluated is not None:
            found.points.append(now[evaluated])
        w = new
    return found


def pure(declaration: Rule, posed: Task) -> Functional | Jointly:
    """Return a rule as pure functions, in the exact schedule, for a problem."""
    if posed.packing is not None:
        return Jointly(declaration, posed.packing)
    return Functional(declaration, exact)


def disturbed(x: Tensor, jitter: torch.Generator | None, size: float = DISTURBANCE) -> Tensor:
    """Return x with each entry off by a random relative disturbance."""
    if jitter is None:
        return x
    return x * (1 + size * torch.randn(x.shape, generator=jitter, dtype=x.dtype))
