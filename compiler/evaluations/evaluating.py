"""Evaluating a loss that is a function: its gradient, and products with its Hessian."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from normdsl.compiler.batches.products import Product
from normdsl.compiler.evaluations import gauss_newton
from normdsl.errors import GradientError
from normdsl.expressions.nodes import Asked
from normdsl.schedules.methods import Differences, DoubleBackward


def differentiated(
    objective: Callable[[Sequence[Tensor]], Tensor],
    values: Sequence[Tensor],
    method: DoubleBackward | Differences,
    points: Sequence[Tensor | None],
    asked: Sequence[Product],
) -> tuple[Tensor, list[Tensor], list[list[Tensor]]]:
    """Return a loss, its gradients, and its products with each list of directions.

    Args:
        objective: the loss. values: where tensors are that have no point.
        method: of the products: double backward, for all of them on one graph, or differences.
        points: where the others are. asked: the products.
    """
    at = tuple(v if p is None else p for v, p in zip(values, points, strict=True))

    def slope(*moved: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.func.grad(lambda x: objective(x))(moved)
        return found

    grads, loss = torch.func.grad_and_value(lambda x: objective(x))(at)
    products = []
    # H is its own transpose, so that products are pulled back through the gradient.
    bent = any(product.asked is Asked.HESSIAN_PRODUCT for product in asked)
    pull = _pulled(slope, at) if bent and isinstance(method, DoubleBackward) else None
    for product in asked:
        along = tuple(
            torch.zeros_like(p) if d is None else d for d, p in zip(product.along, at, strict=True)
        )
        if product.asked is Asked.GAUSS_NEWTON_PRODUCT:
            products.append(gauss_newton.of_function(objective, at, along))
        elif pull is not None:
            products.append(list(pull(along)))
        elif isinstance(method, Differences):
            far = reach(at, along, method)
            ahead = slope(*(p + far * d for p, d in zip(at, along, strict=True)))
            products.append([difference(a, g, far) for a, g in zip(ahead, grads, strict=True)])
    return loss, list(grads), products


def _pulled(
    slope: Callable[..., tuple[Tensor, ...]], at: tuple[Tensor, ...]
) -> Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """Return what takes directions to their products with the Hessian at a point."""
    pull: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] = torch.func.vjp(slope, *at)[1]
    return pull


def reach(at: Sequence[Tensor], along: Sequence[Tensor | None], method: Differences) -> Tensor:
    """Return h = step (1 + ‖P‖) / ‖V‖ with the norms of all tensors; 0 if there is no direction."""
    size = torch.stack([_length(p).to(at[0]) for p in at]).norm()
    known = [d for d in along if d is not None]
    length = torch.stack([_length(d).to(at[0]) for d in known]).norm()
    return torch.where(length > 0, method.step * (1 + size) / length, 0.0)


def difference(ahead: Tensor, here: Tensor, far: Tensor) -> Tensor:
    """Return (∇f(P + h V) − ∇f(P)) / h, and 0 for h = 0."""
    far = far.to(here)
    return torch.where(far > 0, (ahead - here) / far, 0.0)


def _length(x: Tensor) -> Tensor:
    dtype = torch.promote_types(x.real.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(x.detach(), dtype=dtype)
    return length


def missing_evaluations(name: str, how: str) -> GradientError:
    """Return the error for a rule that asks the loss, where nothing can evaluate it."""
    return GradientError(
        f"take a step of {name}",
        why="the rule asks for the loss, its gradient or its Hessian once more, and nothing was "
        "given that evaluates the loss",
        hint=f"call {how}, which does so on the sample of the step",
    )


def missing_sample(asked: str, how: str) -> GradientError:
    """Return the error for a rule that asks on a fresh sample, where there is one sample alone."""
    return GradientError(
        asked,
        why="the rule asks for the loss or its gradient on a fresh sample, and nothing was given "
        "that evaluates one; nothing was changed",
        hint=f"call {how}, where the other one evaluates one more batch",
    )
