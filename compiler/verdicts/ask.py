"""Ask: what answers the queries of a rule of one matrix, from the loss as a function of it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from torch import Tensor

from normdsl.compiler.runtime.evaluating import differentiated
from normdsl.expressions.nodes import Asked
from normdsl.schedules.methods import DoubleBackward


@attrs.frozen(eq=False)
class Ask:
    """Answers what is asked of a loss; the name of a question is that of an `Asked`.

    Args:
        loss: of the weights, a smooth function.
    """

    loss: Callable[[Tensor], Tensor]

    def __call__(self, asked: str, at: Tensor, along: Tensor | None = None) -> Tensor:
        """Return f(P), ∇f(P) or ∇²f(P) V, a matrix."""
        directions = [] if along is None else [[along.expand_as(at)]]
        value, (grad,), products = differentiated(
            lambda moved: self.loss(moved[0]), [at], DoubleBackward(), [None], directions
        )
        answers = {Asked.GRADIENT: grad, Asked.LOSS: value.detach().reshape(1, 1)}
        return answers[Asked[asked]] if along is None else products[0][0]
