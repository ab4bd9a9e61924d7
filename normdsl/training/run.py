"""Training by rules: what a task is, one step of it, a run, and whether it diverged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from normdsl.compiler.evaluations.capture import capture
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.errors import GradientError

Loss = Callable[[], Tensor]


@attrs.frozen(eq=False)
class Task:
    """A model, the losses of its batches, and its score at the end.

    Args:
        model: what is trained. losses: yields, batch after batch, functions of no argument that
            evaluate the loss; one more than there are steps, for rules that ask for another batch.
        score: the share of right answers on what was not trained on.
        measured: what the score is called.
    """

    model: nn.Module
    losses: Callable[[], Iterator[Loss]]
    score: Callable[[], float]
    measured: str = "test accuracy"


def train(
    task: Task,
    optimizers: Sequence[DeclaredOptimizer],
    steps: int,
    factor: Callable[[int], float] | None = None,
    after: Callable[[], object] = lambda: None,
) -> list[float]:
    """Return the losses of a run; one that is no longer finite ends it.

    Args:
        task: what is learnt. optimizers: they cover the model together. steps: how many.
        factor: what the rate is multiplied by at step 0, 1, …. after: called after every step.
    """
    scheduled = [LambdaLR(x, factor) for x in optimizers] if factor else []
    losses: list[float] = []
    # The next batch, and after the last one the first, for rules that ask on a fresh sample.
    others = itertools.chain(itertools.islice(task.losses(), 1, None), task.losses())
    for _, loss_of, fresh in zip(range(steps), task.losses(), others, strict=False):
        losses.append(_taken(task.model, optimizers, loss_of, fresh))
        if not math.isfinite(losses[-1]):
            break
        for scheduler in scheduled:
            scheduler.step()
        after()
    return losses


def divergence(losses: Sequence[float]) -> str | None:
    """Return in what way a run diverged: a loss that is not finite, or ends above its start.

    The end is the mean of the last tenth, and has to be above by a twentieth, as the losses of
    batches are noisy.
    """
    if not math.isfinite(losses[-1]):
        return f"the loss is no longer finite at step {len(losses)}"
    tail = losses[-max(1, len(losses) // 10) :]
    end = sum(tail) / len(tail)
    if end <= 1.05 * losses[0]:
        return None
    return f"the loss ends above its start, at {end:.3g} on average over the last tenth of steps"


def _taken(
    model: nn.Module, optimizers: Sequence[DeclaredOptimizer], loss_of: Loss, fresh: Loss
) -> float:
    """Return the loss at which a step was taken; NaN where one was refused for not being finite."""
    try:
        return float(take(optimizers, loss_of, fresh))
    except GradientError:
        if _finite(model) and bool(loss_of().isfinite()):
            raise
        return math.nan


def _finite(model: nn.Module) -> bool:
    """Return whether all weights and gradients of a model are finite."""
    values = (x for p in model.parameters() for x in (p, p.grad) if x is not None)
    return all(bool(x.isfinite().all()) for x in values)


def take(optimizers: Sequence[DeclaredOptimizer], loss_of: Loss, fresh: Loss) -> Tensor:
    """Take one step of several optimizers from one evaluation of the loss; return it.

    Those whose rule asks for more of the loss evaluate it anew, or that of another batch if it
    asks on a fresh sample, before any other steps.
    """
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = loss_of()
    loss.backward()  # type: ignore[no-untyped-call]
    asking = [x for x in optimizers if any(g["rule"].asks for g in x.param_groups)]
    for optimizer in asking:
        again, another = (partial(_evaluated, optimizer, x) for x in (loss_of, fresh))
        optimizer.step(again, fresh=another)
    for optimizer in optimizers:
        if optimizer not in asking:
            optimizer.step(loss=loss.detach())
    return loss.detach()


def _evaluated(optimizer: DeclaredOptimizer, loss_of: Loss) -> Tensor:
    """Evaluate a loss and the gradients of an optimizer's parameters, with their graphs."""
    optimizer.zero_grad()
    loss = loss_of()
    params = [p for group in optimizer.param_groups for p in group["params"]]
    loss.backward(create_graph=True, inputs=params)  # type: ignore[no-untyped-call]
    return loss


def optimizers_for(
    model: nn.Module, rule: Declaration, vectors: Declaration, **hyper: float
) -> tuple[list[DeclaredOptimizer], str]:
    """Return optimizers that cover a model, and a sentence on which rule each parameter gets.

    Everything gets the rule; where the rule is for matrices only, biases get `vectors`.
    """
    params = list(model.parameters())
    options: dict[str, Any] = {**hyper, **({"capture": capture(model)} if rule.moments else {})}
    try:
        return [rule(params, **options)], f"{rule.name} on all {len(params)} parameters"
    except GradientError:
        matrices = [p for p in params if p.ndim == 2]
        rest = [p for p in params if p.ndim != 2]
        told = f"{rule.name} on {len(matrices)} matrices, {vectors.name} on {len(rest)} vectors"
        return [rule(matrices, **options), vectors(rest)], told
