"""Hyper-parameters as the runtime receives them: numbers or scalar tensors, complete and legal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from normdsl.declarations.aliases import spread
from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError


def complete(
    declaration: Rule, given: Mapping[str, Any], besides: Iterable[str] = ()
) -> dict[str, Any]:
    """Return every hyper-parameter's value, defaults filled in: numbers, and tensors without axes.

    `betas=(a, b)` gives beta1 and beta2, of a rule that has both. An unknown name may have been
    meant for something `besides`, an option of the optimizer.

    Raises:
        HyperparameterError: for an unknown name, a missing value, one outside its domain, or a
            tensor that is not one real number.
    """
    own = spread(declaration, given)
    for name in own:
        declaration.hyperparameter(name, besides)
    values = {**declaration.defaults, **own}
    for h in declaration.hyper:
        value = values[h.name]
        if value is None:
            raise HyperparameterError(
                f"run {declaration.name}",
                why=f"{h.name} has no default, and no value was given"
                if h.default is None
                else f"{h.name} was given as None",
                hint=f"pass {h.name}=…, {h.domain.in_words(h.name)}",
            )
        values[h.name] = _scalar(h.name, value) if isinstance(value, Tensor) else h.check(value)
    return values


def _scalar(name: str, value: Tensor) -> Tensor:
    """Return a tensor of one real number without axes; its value stays on the device, unread."""
    if value.numel() == 1 and not (value.is_complex() or value.dtype is torch.bool):
        return value.reshape(()) if value.ndim else value
    raise HyperparameterError(
        f"set {name} to a tensor of shape {tuple(value.shape)} and {value.dtype}",
        why="a hyper-parameter is one real number",
        hint="pass a 0-dimensional tensor, torch.tensor(0.1)",
    )
