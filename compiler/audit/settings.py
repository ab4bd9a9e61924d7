"""Settings: each parameter group steps with its own learning rate and the like, as it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from normdsl.compiler.audit.conduct import STEPS, arranged, finding
from normdsl.compiler.audit.findings import Finding
from normdsl.compiler.audit.memory import SHAPES, SIZE, starts
from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.audit.streams import gradients, linear
from normdsl.compiler.audit.surroundings import seed_everything

Settings = Mapping[str, Any]


def settings(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether the settings of each group decide its steps, also if it is given them later.

    A setting is ignored in a group if it changes the steps of the group when all groups have it,
    and does not when the group alone has it, or has it only after the optimizer is made, as from a
    scheduler.

    Raises:
        RefusedError: if the optimizer takes no groups, or raises in a step.
    """
    usual = _path(subject, dtype, {}, {})
    ignored: list[str] = []
    for name, value in _varied(subject, dtype).items():
        other = {name: value}
        try:
            everywhere = _path(subject, dtype, other, other)
            alone = _path(subject, dtype, other, {}), _path(subject, dtype, {}, other)
            later = _path(subject, dtype, other, other, late=True)
        except RefusedError:
            continue  # it refuses the value, or groups that differ in it
        for k, title in enumerate(("first", "second")):
            decides = not torch.equal(everywhere[k], usual[k])
            if decides and torch.equal(alone[k][k], usual[k]):
                ignored.append(f"the {title} group's {name} is ignored")
                break
            if decides and torch.equal(later[k], usual[k]):
                ignored.append(f"{name} is ignored if a group has it once the optimizer is made")
                break
    return finding("settings", subject, dtype, "; ".join(ignored))


def _varied(subject: Subject, dtype: torch.dtype) -> dict[str, Any]:
    """Return the settings of a group that are numbers, pairs of them, or `maximize`, varied."""
    (group, *_) = subject.drive(starts(dtype)).optimizer.param_groups
    varied = {name: _other(value) for name, value in group.items() if name != "params"}
    if isinstance(group.get("maximize"), bool):
        varied["maximize"] = not group["maximize"]
    return {name: value for name, value in varied.items() if value is not None}


def _other(value: Any) -> Any:
    """Return another value of a setting, of the same kind; None for what is no number."""
    if isinstance(value, float):
        return value / 2 if value else 0.1
    several = isinstance(value, tuple) and bool(value) and all(isinstance(x, float) for x in value)
    return tuple(map(_other, value)) if several else None


def _path(
    subject: Subject, dtype: torch.dtype, first: Settings, second: Settings, late: bool = False
) -> list[Tensor]:
    """Return the weights after a run of two groups, with settings of their own, given late or not.

    The first group has one parameter, the second the others.
    """
    told: tuple[Settings, Settings] = ({}, {}) if late else (first, second)

    def grouped(params: list[Parameter]) -> list[dict[str, Any]]:
        return [{"params": params[:1], **told[0]}, {"params": params[1:], **told[1]}]

    loss = linear(gradients(SHAPES, 28, SIZE))
    drive = arranged(subject, grouped).drive(starts(dtype))
    for group, later in zip(drive.optimizer.param_groups, (first, second), strict=False):
        group.update(later if late else {})
    for step in range(STEPS):
        seed_everything(step)
        drive.advance(loss, step)
    return drive.weights()
