"""Hyper-parameters as the runtime receives them: numbers or scalar tensors, complete and legal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from normdsl.declaration import Declaration
from normdsl.errors import HyperparameterError


def complete(declaration: Declaration, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every hyper-parameter's value, defaults filled in.

    Raises:
        HyperparameterError: for an unknown name, a missing value or one outside its domain.
    """
    for name in given:
        declaration.hyperparameter(name)
    values = {**declaration.defaults, **given}
    for h in declaration.hyper:
        value = values[h.name]
        if value is None:
            raise HyperparameterError(
                f"run {declaration.name}",
                why=f"its hyper-parameter {h.name} has no default and was not given",
                hint=f"pass {h.name}=…",
            )
        if isinstance(value, Tensor):
            _check_tensor(h.name, value)
        else:
            h.check(value)
    return values


def _check_tensor(name: str, value: Tensor) -> None:
    """Refuse a tensor that is no scalar; its value stays on the device, unread."""
    if value.numel() != 1:
        raise HyperparameterError(
            f"set {name} to a tensor of shape {tuple(value.shape)}",
            why="a hyper-parameter is one number",
            hint="pass a 0-dimensional tensor",
        )
