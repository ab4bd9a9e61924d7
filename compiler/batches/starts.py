"""Starts: the state of a parameter before its first step, and the gradients it can step by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches import running
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.holding import Holding, part_of
from normdsl.compiler.layouts.layout import OWNER, STEP, Layout, is_native, real
from normdsl.compiler.layouts.shards import (
    is_sharded,
    local,
    mesh_of,
    place_in,
    placed,
    replicated,
    seen_as,
    whole,
)
from normdsl.compiler.layouts.tuples import Neighbour
from normdsl.compiler.layouts.view import Flat
from normdsl.compiler.layouts.ways import held, steps_alone
from normdsl.compiler.lowering.functions import beside
from normdsl.errors import GradientError


def started(
    layout: Layout,
    param: Tensor,
    hyper: Mapping[str, Any],
    origin: Tensor | None = None,
    near: Sequence[Neighbour] = (),
) -> dict[str, Tensor]:
    """Return the state of a parameter before its first step.

    Args:
        layout: how it steps. param: the parameter. hyper: its hyper-parameters.
        origin: where its random numbers start, if the rule draws any.
        near: what its step reads of other parameters, from which a state may start.
    """
    if is_sharded(param):
        return _started_in_parts(layout, param, hyper, origin, near)
    stepper = layout.stepper
    state = {STEP: torch.zeros((), dtype=torch.int64, device=param.device)}
    seen = layout.view.pieces(real(param))
    drawn: list[dict[str, Tensor]] = [{} for _ in seen]
    if origin is not None:
        stream = draws.stream(origin, state[STEP]).reshape(1, 1, 1)
        drawn = [{"stream": stream, "places": x} for x in draws.places(layout, param.device)]
    if near and beside(stepper.program):
        drawn = [{**x, **_weights(stepper.dtype(param), near)} for x in drawn]
    starts = [
        running.init(stepper, w.to(stepper.dtype(param)), hyper, x)
        for w, x in zip(seen, drawn, strict=True)
    ]
    for i, field in enumerate(layout.fields):
        kept = layout.write(field, [start[i] for start in starts])
        dtype = stepper.kept_dtype(field, param)
        state.update({key: x.to(dtype) for key, x in kept.items()})
    return state


def _started_in_parts(
    layout: Layout,
    param: Tensor,
    hyper: Mapping[str, Any],
    origin: Tensor | None,
    near: Sequence[Neighbour],
) -> dict[str, Tensor]:
    """Return the state of a DTensor: of each part what that steps alone, or all of it."""
    if layout.stepper.entrywise:
        own = local(param)
        part = attrs.evolve(layout, view=Flat(), shape=tuple(real(own).shape))
        state = started(part, own, hyper, origin, near)
        return {k: x if k == STEP else seen_as(x, param) for k, x in state.items()}
    by = held(layout, param)
    if by is not None and steps_alone(layout, by):
        return _started_alone(layout, param, by, lambda x, p: started(x, p, hyper, origin, near))
    state = started(layout, whole(param), hyper, origin, near)
    native = {f.name for f in layout.fields if is_native(f) and not param.is_complex()}
    return {
        k: x if k == STEP else placed(x, param) if k in native else replicated(x, param)
        for k, x in state.items()
    }


def _started_alone(
    layout: Layout, param: Any, by: Holding, start: Callable[[Layout, Tensor], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the state of the matrices that a process has whole."""
    own, part = local(param), part_of(layout, by, place_in(mesh_of(param)))
    if part is not None:
        state = start(part, own)
    else:
        state = {STEP: torch.zeros((), dtype=torch.int64, device=param.device)}
        for field in layout.fields:
            sizes = {field.name: real(own).shape} if is_native(field) else layout.kept(field, [0])
            dtype = layout.stepper.kept_dtype(field, param)
            state |= {k: real(own).new_empty(size, dtype=dtype) for k, size in sizes.items()}
    native = {f.name for f in layout.fields if is_native(f)}
    state = {k: seen_as(x, param) if k in native else x for k, x in state.items()}
    owners = torch.tensor(by.owners, device=param.device)
    return {**state, OWNER: owners.reshape(layout.owned)}


def _weights(dtype: torch.dtype, near: Sequence[Neighbour]) -> dict[str, Tensor]:
    """Return the weights of other parameters, as batches of one matrix, by name."""
    return {
        x.name: whole(x.param.detach()).reshape(1, x.param.shape[0], -1).to(dtype)
        for x in near
        if not x.gradient
    }


def require_gradient(rule: str, param: Tensor, grad: Tensor) -> None:
    """Refuse a gradient that a step cannot be made from.

    Raises:
        GradientError: for a nested or sparse gradient, one of another shape, or of numbers that are
            no derivative of the parameter's.
    """
    if grad.is_nested or grad.layout is not torch.strided:
        raise GradientError(
            f"apply {rule} to a gradient of layout {grad.layout}",
            why="norms and factorisations need every entry",
            hint="use sparse=False in the embedding",
        )
    if is_sharded(grad) != is_sharded(param):
        one, other = ("a DTensor", "none") if is_sharded(param) else ("no DTensor", "one")
        raise GradientError(
            f"apply {rule} to a parameter of shape {tuple(param.shape)}",
            why=f"the parameter is {one}, and its gradient is {other}",
            hint="let backward make the gradient, or distribute it as the parameter is",
        )
    if grad.shape != param.shape:
        raise GradientError(
            f"apply {rule} to a parameter of shape {tuple(param.shape)}",
            why=f"its gradient has shape {tuple(grad.shape)}",
            hint="pass the gradient of this parameter",
        )
    real = grad.is_floating_point() and not param.is_complex() and grad.dtype.itemsize > 1
    if not real and not (grad.is_complex() and param.is_complex()):
        raise GradientError(
            f"apply {rule} to a parameter of dtype {param.dtype}",
            why=f"its gradient has dtype {grad.dtype}",
            hint="pass a gradient of real numbers of 16 bits at least, and a complex one for a "
            "complex parameter",
        )
