"""Finiteness: whether a step may be taken, and the error if not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.utils import get_total_norm

from normdsl.errors import GradientError


def finite(*values: Tensor | None) -> Tensor:
    """Return whether tensors are finite, as a tensor on the device of the first."""
    known = [v for v in values if v is not None]
    device = known[0].device
    return torch.stack([torch.isfinite(_largest(v)).to(device) for v in known]).all()


def has_values(x: Tensor) -> bool:
    """Return whether a tensor has values to read; meta and fake tensors have sizes alone."""
    return not (x.is_meta or isinstance(x, FakeTensor))


def all_finite(values: Sequence[Tensor]) -> bool:
    """Return whether tensors are finite: one synchronisation, however many there are.

    What has no values is taken to be: a step of such tensors finds shapes, dtypes and costs.
    """
    told = [v for v in values if v.numel() and has_values(v)]
    return not told or bool(torch.isfinite(get_total_norm(told, math.inf)))


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, torch.inf) if x.numel() else x.sum()


def blame(
    rule: str, shape: tuple[int, ...], loss: Tensor | None, given: Mapping[str, Tensor]
) -> None:
    """Refuse a step made from something that is not finite.

    Args:
        rule: name of the rule. shape: of the parameter. loss: the loss, if the rule reads it.
        given: what the step is made from, by name: gradient, value, captured moments.

    Raises:
        GradientError: for the first that is not finite.
    """
    for what, value in given.items():
        with_loss = loss if what == "gradient" else None
        if not bool(finite(value, with_loss)):
            moments = what not in ("gradient", "value")
            raise GradientError(
                f"take a step of {rule}",
                why=f"the {what} of a parameter of shape {shape}"
                f"{', or the loss,' if what == 'gradient' and loss is not None else ''} is NaN or "
                "infinite; nothing was changed",
                hint='find its cause, lower the learning rate, or pass nonfinite="skip"'
                + ("; then capture.clear()" if moments else ""),
            )


def refuse_result(rule: str, shape: tuple[int, ...]) -> GradientError:
    """Return the error for a step from finite values to others."""
    return GradientError(
        f"take a step of {rule}",
        why=f"its new value or state for a parameter of shape {shape} is NaN or "
        "infinite, although the gradient is finite; nothing was changed",
        hint="a division by zero: use nd.reciprocal(x), which is 0 at 0, or add an eps; "
        "or an overflow: lower the learning rate",
    )
