"""Values of a norm's functions on tensors: for pictures, logs and tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from normdsl.compiler.lowering.program import lower
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, GradientError, ShapeError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param, Stream
from normdsl.expressions.recursion import State
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.streams import G, W, cols, rows
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation
from normdsl.schedules.schedule import exact
from normdsl.vocabulary.averages import zeros_like

#: What a tensor has: itself, and its lengths.
GIVEN = (G, rows, cols)


def values(function: Callable[[Expr], Expr], x: Tensor) -> Tensor:
    """Return ‖x‖, ‖x‖_*, lmo(x) or sharp(x), by the SVD in float64 where there is one.

    Args:
        function: of a norm, on expressions. x: matrices, with any number of axes in front.

    Raises:
        ShapeError: for a tensor with fewer than two axes, or without entries.
        DeclarationError: for a norm that is made of what only a step has.
        GradientError: for a tensor that is not of real floating point numbers.
    """
    asked = function(G)
    _require_matrices(asked, x)
    _require_given(asked)
    wide = x if x.device.type == "mps" else x.double()
    step = lower(Rule("values", (), zeros_like(W) + asked), exact).step
    (found,) = step(torch.zeros_like(wide), wide, t=torch.ones((), device=x.device))
    return (found[..., 0, 0] if asked.shape == SCALAR else found).to(x.dtype)


def _require_matrices(asked: Expr, x: Tensor) -> None:
    told = f"compute {asked} of a tensor of shape {tuple(x.shape)}"
    if x.ndim < 2 or not x.numel():
        raise ShapeError(
            told,
            why="norms are norms of m×n matrices",
            hint="pass one with two axes or more: x[None] for a row, x[:, None] for a column",
        )
    if not x.is_floating_point():
        raise GradientError(
            told, why=f"its entries are of type {x.dtype}", hint="pass x.float(), or x.double()"
        )


def _require_given(asked: Expr) -> None:
    """Refuse norms with weights that have values in a step alone, and those of all layers."""
    joined = isinstance(asked, NormOperation) and asked.norm.joins_layers
    inputs = (x for x in walk(asked) if isinstance(x, Stream | Param | State) and x not in GIVEN)
    unknown = next(inputs, asked if joined else None)
    if unknown is not None:
        raise DeclarationError(
            f"compute {asked} of a tensor",
            at=unknown,
            why="it has a value in a step of an optimizer alone",
            hint="compute the base norm of what the preconditioner makes of the tensor: for "
            "‖D ∘ X‖₂, nd.spectral.value(D * x)",
        )
