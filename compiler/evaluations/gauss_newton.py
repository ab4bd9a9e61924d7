"""Products Jᵀ Q J V with the Gauss-Newton matrix, on a graph or of a function.

J is the Jacobian of the marked outputs, Q the Hessian of the loss by them (Schraudolph, 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from normdsl.compiler.evaluations.outputs import missing_outputs, noted, replaced


def on_graph(
    loss: Tensor, marked: Sequence[Tensor], params: Sequence[Tensor], along: Sequence[Tensor | None]
) -> list[Tensor]:
    """Return the product for each parameter, by derivatives on the graph of an evaluation.

    Args:
        loss: with its graph. marked: the outputs on it. params: the weights.
        along: the direction for each of them; None for zero.
    """
    marked = [z for z in marked if z.requires_grad]
    slopes = _derivatives([loss], marked, None, create_graph=True)
    ahead = _pushed(marked, params, along)
    bent = _derivatives(
        [g for g in slopes if g.requires_grad],
        marked,
        [v for g, v in zip(slopes, ahead, strict=True) if g.requires_grad],
    )
    return _derivatives(marked, params, bent)


def of_function(
    objective: Callable[[Sequence[Tensor]], Tensor],
    at: tuple[Tensor, ...],
    along: tuple[Tensor, ...],
) -> list[Tensor]:
    """Return the product for each weight of a loss that is a function of them.

    Raises:
        GradientError: if it marks no outputs.
    """

    def put_out(*moved: Tensor) -> tuple[Tensor, ...]:
        with noted() as found:
            objective(moved)
        if not found:
            raise missing_outputs("take a product with the Gauss-Newton matrix")
        return tuple(found)

    def by_outputs(*z: Tensor) -> tuple[Tensor, ...]:
        def loss(values: tuple[Tensor, ...]) -> Tensor:
            with replaced(values):
                return objective(at)

        found: tuple[Tensor, ...] = torch.func.grad(loss)(z)
        return found

    z, back = torch.func.vjp(put_out, *at)[:2]
    zeros = tuple(map(torch.zeros_like, z))
    ahead = torch.func.vjp(lambda *u: back(u), *zeros)[1](along)
    bent = torch.func.vjp(by_outputs, *z)[1](ahead)
    return list(back(bent))


def _pushed(
    marked: Sequence[Tensor], params: Sequence[Tensor], along: Sequence[Tensor | None]
) -> list[Tensor]:
    """Return J V: the transpose of Jᵀ u, a linear function of u."""
    dummies = [torch.zeros_like(z, requires_grad=True) for z in marked]
    back = _derivatives(marked, params, dummies, create_graph=True)
    pairs = [(x, v) for x, v in zip(back, along, strict=True) if v is not None and x.requires_grad]
    return _derivatives([x for x, _ in pairs], dummies, [v for _, v in pairs])


def _derivatives(
    of: Sequence[Tensor],
    by: Sequence[Tensor],
    along: Sequence[Tensor] | None,
    create_graph: bool = False,
) -> list[Tensor]:
    """Return derivatives that are zero where nothing depends on what they are taken by."""
    if not of:
        return [torch.zeros_like(x) for x in by]
    found = torch.autograd.grad(
        of, by, along, retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    return [torch.zeros_like(x) if d is None else d for x, d in zip(by, found, strict=True)]
