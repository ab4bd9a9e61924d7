"""Evaluating a loss that is a function: its gradient, and products with its Hessian."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from normdsl.errors import GradientError


def differentiated(
    objective: Callable[[Sequence[Tensor]], Tensor],
    values: Sequence[Tensor],
    points: Sequence[Tensor | None],
    directions: Sequence[Sequence[Tensor | None]],
) -> tuple[Tensor, list[Tensor], list[list[Tensor]]]:
    """Return a loss, its gradients, and its Hessian times each list of directions.

    Products are derivatives of the gradient along the directions, forwards over backwards.

    Args:
        objective: the loss. values: where tensors are that have no point.
        points: where the others are. directions: of each product; None for zero.
    """
    at = tuple(v if p is None else p for v, p in zip(values, points, strict=True))

    def slope(*moved: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.func.grad(lambda x: objective(x))(moved)
        return found

    grads, loss = torch.func.grad_and_value(lambda x: objective(x))(at)
    products = [list(torch.func.jvp(slope, at, _filled(d, at))[1]) for d in directions]
    return loss, list(grads), products


def _filled(direction: Sequence[Tensor | None], at: Sequence[Tensor]) -> tuple[Tensor, ...]:
    pairs = zip(direction, at, strict=True)
    return tuple(torch.zeros_like(p) if d is None else d for d, p in pairs)


def missing_evaluations(name: str, how: str) -> GradientError:
    """Return the error for a rule that asks the loss, where nothing can evaluate it."""
    return GradientError(
        f"take a step of {name}",
        why="the rule asks for the loss, its gradient or its Hessian once more, and nothing was "
        "given that evaluates the loss",
        hint=f"call {how}, which does so on the sample of the step",
    )
