"""How far a schedule takes the weights from where the exact one does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.compiler.batches.sharing import scalars
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.runtime.functional import Functional
from normdsl.compiler.runtime.wired import wired
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.schedules.schedule import Schedule, exact


@as_scheduled
def schedule_error(
    declaration: Rule,
    schedule: Schedule,
    gradients: Iterable[Tensor],
    *,
    weights: Tensor | None = None,
    losses: Iterable[Any] | None = None,
    objectives: Iterable[Callable[[Tensor], Tensor]] | None = None,
    processes: int = 8,
    cut: str = "rows",
    **hyper: Any,
) -> list[float]:
    """Return how far a schedule takes the weights from where the exact one does, step by step.

    ‖ΔW − ΔW_exact‖_F / ‖ΔW_exact‖_F after each step, with ΔW counted from the start.
    Both runs get the same gradients, and draw the same random numbers if the rule does.

    Args:
        declaration: the rule. schedule: the one to judge, against `nd.exact`.
        gradients: one per step. weights: where both start; default 0.
        losses: one per step, for rules that read the loss.
        objectives: one per step, the loss as a function of the weights, for rules that ask for it
            at other points.
        processes: how many share the steps, if the schedule rounds what they send; this one plays
            all of them. cut: what is divided among them, as `rule.plan` takes it.
        hyper: hyper-parameters.

    Raises:
        GradientError: for gradients or weights the rule cannot take.
        DeclarationError: for a rule over several parameters.
        HyperparameterError: for no processes, or another word for what is cut.

    Example:
        >>> import normdsl as nd
        >>> import torch
        >>> rule = nd.optimizer(lambda lr=0.1: nd.W + lr * nd.spectral.lmo(nd.G))
        >>> fast = nd.Schedule(polar=nd.polar_express())
        >>> [error] = nd.schedule_error(rule, fast, [torch.eye(2)])
        >>> error < 1e-3
        True
    """
    if declaration.ports:
        raise DeclarationError(
            f"measure the error of a schedule of {declaration.name}",
            why="it is over several parameters, and gradients here are those of one",
            hint="run it twice by nd.functional, with the schedule and with nd.exact",
        )
    # In double precision, so that what is measured is the schedule's error alone.
    slopes = [g.double() for g in gradients]
    start = torch.zeros_like(slopes[0]) if weights is None else weights.double()
    values = [None] * len(slopes) if losses is None else list(losses)
    functions = [None] * len(slopes) if objectives is None else list(objectives)
    given = [*zip(slopes, values, functions, strict=True)]
    shared = partial(Wired, processes=processes, cut=cut)
    runs = [
        _run(make(declaration.sized(complete(declaration, hyper)), s), start, given, hyper)
        for make, s in ((shared, schedule), (Functional, exact))
    ]
    moved = [[(w - start).double() for w in run] for run in runs]
    return [_relative(x, y) for x, y in zip(*moved, strict=True)]


class Wired(Functional):
    """A rule of known lengths as functions, which round what processes would send."""

    def __init__(self, declaration: Rule, schedule: Schedule, processes: int, cut: str) -> None:
        super().__init__(declaration, schedule)
        self.stepper = wired(self.stepper, processes, cut)
        self.joined = scalars((self.stepper,))


def _run(
    pure: Functional,
    start: Tensor,
    given: Sequence[tuple[Tensor, Any, Any]],
    hyper: dict[str, Any],
) -> list[Tensor]:
    w, path = start, []
    state = pure.init(w, **hyper)
    for g, loss, objective in given:
        w, state = pure.update(g, state, w, loss=loss, objective=objective, **hyper)
        path.append(w)
    return path


def _relative(x: Tensor, y: Tensor) -> float:
    error, size = float((x - y).norm()), float(y.norm())
    return error / size if size else error
