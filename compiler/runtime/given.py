"""What a step is given besides gradients: the loss, captured moments, or nothing but a probe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.inputs import as_loss
from normdsl.compiler.batches.members import Member
from normdsl.compiler.batches.nonfinite import has_values
from normdsl.compiler.batches.replicas import Replicas, no_loss, no_moments
from normdsl.compiler.evaluations.capture import Capture
from normdsl.compiler.layouts.moments import missing_moments
from normdsl.compiler.layouts.shards import whole
from normdsl.compiler.layouts.tuples import Neighbour
from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.functional import missing_loss
from normdsl.compiler.runtime.parameter_groups import Settings
from normdsl.errors import GradientError


def losses(said: Sequence[Settings], value: Any, together: Replicas) -> list[Tensor | None]:
    """Return the loss that each group's rule minimises, if it reads it: the mean over replicas.

    Raises:
        GradientError: if it is missing, or not one number, on any of the processes.
    """
    reading = next((x for x in said if x.reads_loss), None)
    if reading is None or not together.groups:
        return [loss(x, value) for x in said]
    refused, found = None, None
    try:
        found = loss(attrs.evolve(reading, maximize=False), value)
    except GradientError as error:
        refused = error
    mean = together.mean(None if found is None else [found])
    if mean is None:
        raise refused or no_loss(reading.rule.name)
    return [loss(x, mean[0]) for x in said]


def loss(said: Settings, value: Any) -> Tensor | None:
    """Return the loss that a group's rule minimises, if the rule reads it.

    Raises:
        GradientError: if it is missing, or not one number.
    """
    if not said.reads_loss:
        return None
    told = as_loss(value)
    if told is None:
        raise missing_loss(said.rule.name, "opt.step(closure) or opt.step(loss=value)")
    return -told if said.maximize else told


def moments(
    members: Sequence[Member], capture: Capture | None, together: Replicas
) -> dict[str, list[Tensor]]:
    """Return what a step reads of each parameter besides weights and gradient, by name.

    The moments of its layer, which a capture recorded, averaged over replicas as the gradients are,
    and what its neighbours are.

    Raises:
        GradientError: if there is no capture, or it has seen nothing of a parameter.
    """
    stepper = members[0].layout.stepper
    rule, reads = stepper.program.declaration.name, stepper.moments
    near = _beside(members)
    if not reads:
        return near
    if capture is None:
        raise missing_moments(rule, reads, f"{rule}(…, capture=capture)")
    refused, found = None, None
    try:
        seen = [_seen(rule, m.param, capture) for m in members]
        found = [x[name] for name in reads for x in seen]
    except GradientError as error:
        refused = error
    means = together.mean(found)
    if means is None:
        raise refused or no_moments(rule)
    each = len(members)
    own = {name: means[k * each : (k + 1) * each] for k, name in enumerate(reads)}
    return {**own, **near}


def _beside(members: Sequence[Member]) -> dict[str, list[Tensor]]:
    """Return what the neighbours of parameters are, by name; weights as they are now, in copies."""
    if not members[0].neighbours:
        return {}
    names = [x.name for x in members[0].neighbours]
    columns = zip(*(m.neighbours for m in members), strict=True)
    dtype = members[0].layout.stepper.dtype(members[0].param)
    return {
        name: [_stream(x, dtype) for x in column]
        for name, column in zip(names, columns, strict=True)
    }


def _stream(x: Neighbour, dtype: torch.dtype) -> Tensor:
    """Return the weights or the gradient of a neighbour as a matrix."""
    found = x.param.grad if x.gradient else x.param
    assert found is not None, "a tuple of parameters steps if all of them have a gradient"
    matrix = whole(found.detach()).reshape(found.shape[0], -1)
    matrix = matrix.to(dtype, copy=not x.gradient)
    return -matrix if x.gradient and x.maximize else matrix


def _seen(rule: str, param: Tensor, capture: Capture) -> dict[str, Tensor]:
    found = capture.moments(param)
    if found is None:
        raise GradientError(
            f"take a step of {rule}",
            why=f"a parameter of shape {tuple(param.shape)} has a gradient, "
            "but the capture has seen no backward pass of a Linear or Conv2d with it as its "
            "weight since the last step",
            hint="capture the layer before its forward pass, and give biases and other "
            "parameters to another rule",
        )
    return found


def numbered(param_groups: Iterable[dict[str, Any]]) -> Iterable[tuple[int, dict[str, Any]]]:
    """Yield groups, each with the position of its first parameter among all."""
    first = 0
    for group in param_groups:
        yield first, group
        first += len(group["params"])


def is_probe(param_groups: Iterable[dict[str, Any]]) -> bool:
    """Return whether a first step is asked for the sake of its states alone.

    `torch.distributed.checkpoint` makes states by a step from zero gradients at lr = 0, which moves
    the weights of rules that decay at a rate of their own, or needs a loss.
    """
    listed = [g for g in param_groups if g["params"]]
    rates = [g["lr"] for g in listed if "lr" in g]
    if not rates or any(isinstance(r, Tensor) and r.device.type != "cpu" for r in rates):
        return False
    asked = [p for g in listed for p in parameter_groups.parameters(g) if p.requires_grad]
    grads = [p.grad for p in asked if p.grad is not None]
    if not all(map(has_values, filter(torch.is_tensor, [*rates, *grads]))):
        return False
    if any(float(r) for r in rates) or not grads or len(grads) < len(asked):
        return False
    return not any(g.is_sparse or bool(g.any()) for g in grads)
