"""A layer's moments as the runtime receives them: those the rule reads, and in the right shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from normdsl.errors import GradientError


def require_read(rule: str, reads: Sequence[str], given: Mapping[str, Any], how: str) -> None:
    """Refuse moments that a rule reads and did not get, or got and does not read.

    Raises:
        GradientError: for either.
    """
    for name, value in given.items():
        if name in reads and value is None:
            raise missing_moments(rule, reads, how)
        if name not in reads and value is not None:
            raise GradientError(
                f"take a step of {rule}",
                why=f"it was given {name}, which the rule does not read",
                hint=f"leave it out, or use nd.{name} in the rule",
            )


def missing_moments(rule: str, reads: Sequence[str], how: str) -> GradientError:
    """Return the error for a rule that reads a layer's moments and was not given them."""
    return GradientError(
        f"take a step of {rule}",
        why=f"the rule reads {' and '.join(reads)} of the layer, and none was given",
        hint=f"call {how}",
    )


def require_shapes(
    name: str, lengths: tuple[int, int], moments: Mapping[str, Sequence[Tensor]]
) -> None:
    """Refuse moments of another shape than the layer's.

    Raises:
        GradientError: for a moment that is not n×n (of the inputs) or m×m (of the outputs).
    """
    m, n = lengths
    for kind, column in moments.items():
        size = n if kind == "input_moment" else m
        for value in column:
            if tuple(value.shape) != (size, size):
                raise GradientError(
                    f"apply {name} to weights of shape {lengths}",
                    why=f"their {kind} has shape {tuple(value.shape)}, not ({size}, {size})",
                    hint="pass E[x xᵀ] of the layer's inputs and E[g gᵀ] of the gradients at its "
                    "outputs; a convolution's inputs are its patches",
                )
