"""Ask: what answers the queries of a rule of one matrix, from the loss as a function of it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.products import Product
from normdsl.compiler.evaluations.evaluating import differentiated
from normdsl.compiler.verdicts.tasks import SECOND, Task
from normdsl.expressions.nodes import Asked
from normdsl.schedules.methods import DoubleBackward


@attrs.frozen(eq=False)
class Ask:
    """Answers what is asked of a loss; the name of a question is that of an `Asked`.

    Args:
        loss: of the weights, a smooth function. second: on a fresh sample.
    """

    loss: Callable[[Tensor], Tensor]
    second: Callable[[Tensor], Tensor]

    def __call__(
        self, asked: str, at: Tensor, along: Tensor | None = None, *, fresh: bool = False
    ) -> Tensor:
        """Return f(P), ∇f(P), ∇²f(P) V, Jᵀ Q J V or ∇²f(P), a matrix."""
        asked_along = [] if along is None else [Product(Asked[asked], [along.expand_as(at)])]
        loss = self.second if fresh else self.loss
        if Asked[asked] is Asked.HESSIAN:
            whole: Tensor = torch.func.jacrev(torch.func.grad(loss))(at)
            return whole.reshape(at.numel(), at.numel())
        value, (grad,), products = differentiated(
            lambda moved: loss(moved[0]), [at], DoubleBackward(), [None], asked_along
        )
        answers = {Asked.GRADIENT: grad, Asked.LOSS: value.detach().reshape(1, 1)}
        return answers[Asked[asked]] if along is None else products[0][0]


def asking(posed: Task, step: int) -> Ask:
    """Return what answers the queries of a step of a problem."""
    return Ask(posed.at(step), posed.at(SECOND + step))


def objectives(posed: Task, step: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the losses of a step by the names that an update takes them under."""
    ask = asking(posed, step)
    return {"objective": ask.loss, "fresh_objective": ask.second}
