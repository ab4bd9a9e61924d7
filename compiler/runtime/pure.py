"""One step of the tensors of a tree, as a function: nothing is written, and it can be traced.

Compilers read this code, and build none of the frozen classes that plan an optimizer's step; so
the tensors of a tree are plain tuples here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.nonfinite import Subject, blame
from normdsl.compiler.batches.products import Product
from normdsl.compiler.batches.sharing import Scalar
from normdsl.compiler.evaluations.asking import Answer, Oracle, Place, answered, products
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.layout import is_native, real
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering import refresh
from normdsl.compiler.lowering.fields import Field
from normdsl.errors import FactorisationError

#: From where each tensor of a tree is (None: where it was) and products that are asked for, to the
#: loss, its gradients, and the products.
Evaluate = Callable[
    [Sequence[Tensor | None], Sequence[Product], bool],
    tuple[Tensor, Sequence[Tensor], Sequence[Sequence[Tensor]]],
]
#: Tensors with more entries step alone: copying them together costs more than it saves.
STACKED_UP_TO = 2**16


class Leaf(NamedTuple):
    """A tensor of a tree with what it steps from.

    Args:
        param: the tensor. grad: its gradient. states: those of the rule, in order.
        moments: of its layer, by name, if the rule reads those.
        origin: where its random numbers start, if the rule draws any.
        due: whether its kept values are computed at this step, if any are.
    """

    param: Tensor
    grad: Tensor
    states: Sequence[Tensor]
    moments: Mapping[str, Tensor]
    origin: Tensor | None = None
    due: bool = True


class Context(NamedTuple):
    """What all tensors of a tree step with.

    Args:
        clock: the step index, from 1. loss: the loss, if the rule reads it.
        hyper: the hyper-parameters. phase: what is done with kept values that are due.
    """

    clock: Tensor
    loss: Tensor | None
    hyper: Mapping[str, Any]
    phase: int


def size(param: Tensor) -> tuple[int, int]:
    """Return rows and columns of a tensor: its first axis by all others, complex as pairs."""
    shape = real(param).shape
    return (shape[0] if shape else 1), math.prod(shape[1:])


def matrix(x: Tensor, lengths: tuple[int, int]) -> Tensor:
    """Return a tensor as a batch of one matrix."""
    return real(x).reshape(1, *lengths)


def places(lengths: tuple[int, int], device: torch.device) -> Tensor:
    """Return the place of each entry among a tensor's random numbers, as a batch of one matrix."""
    return torch.arange(math.prod(lengths), device=device).reshape(1, *lengths)


def started(
    stepper: Stepper, param: Tensor, hyper: Mapping[str, Any], origin: Tensor | None = None
) -> list[Tensor]:
    """Return the states of a tensor before its first step; of one without entries, zeros."""
    fields, lengths = stepper.program.fields, size(param)
    if not param.numel():
        kept = [torch.zeros(f.lengths(lengths), device=param.device) for f in fields]
    else:
        drawn: dict[str, Tensor] = {}
        if origin is not None:
            stream = draws.stream(origin, torch.zeros_like(origin)).reshape(1, 1, 1)
            drawn = {"stream": stream, "places": places(lengths, param.device)}
        kept = running.init(stepper, matrix(param, lengths).to(stepper.dtype(param)), hyper, drawn)
    return [_kept(stepper, f, param, x) for f, x in zip(fields, kept, strict=True)]


def stepped(
    stepper: Stepper,
    leaves: Sequence[Leaf],
    context: Context,
    joined: Sequence[Scalar] = (),
    evaluate: Evaluate | None = None,
) -> list[tuple[Tensor, list[Tensor]]]:
    """Return the new value and states of each tensor; those of equal size step as one batch.

    Args:
        stepper: of the rule. leaves: the tensors. context: what they step with.
        joined: the scalars that the rule combines over all of them.
        evaluate: evaluates the loss where the tensors are, for a rule that asks for it.

    Raises:
        FactorisationError: if a factorisation fails, or a GradientError naming what is not finite.
    """
    ready = begun(stepper, leaves, context, evaluate)
    try:
        return ended(stepper, ready, answered(ready.together, joined, ready.oracle))
    except FactorisationError:
        blame_leaves(stepper, leaves, context)
        raise


class Begun(NamedTuple):
    """A step that is to be taken.

    Args:
        leaves: the tensors. batches: which of them are stacked. together: what each batch steps
            from. oracle: evaluates the loss where they are.
    """

    leaves: Sequence[Leaf]
    batches: Sequence[Sequence[int]]
    together: Sequence[tuple[Stepper, Inputs]]
    oracle: Oracle


def begun(
    stepper: Stepper, leaves: Sequence[Leaf], context: Context, evaluate: Evaluate | None
) -> Begun:
    """Return the step of some tensors, before anything is computed."""
    batches = _batches(leaves)
    together = [(stepper, _inputs(stepper, [leaves[i] for i in b], context)) for b in batches]
    return Begun(leaves, batches, together, _Leaves(leaves, batches, evaluate))


def ended(
    stepper: Stepper, ready: Begun, told: Sequence[Known]
) -> list[tuple[Tensor, list[Tensor]]]:
    """Return the new value and states of each tensor, once all is told that batches need."""
    found: dict[int, tuple[Tensor, list[Tensor]]] = {}
    for batch, (_, inputs), known in zip(ready.batches, ready.together, told, strict=True):
        weights, states = running.step(stepper, inputs, known)
        for k, i in enumerate(batch):
            noise = None if not stepper.rounds or inputs.stream is None else inputs.stream[k]
            param = ready.leaves[i].param
            found[i] = _after(stepper, param, weights[k], [x[k] for x in states], noise)
    return [found[i] for i in range(len(ready.leaves))]


def blame_leaves(stepper: Stepper, leaves: Sequence[Leaf], context: Context) -> None:
    """Refuse a step that is made from something that is not finite, if it is."""
    for x in leaves:
        given = {"gradient": x.grad, **x.moments, "value": x.param}
        blame(Subject(stepper.program.declaration, tuple(x.param.shape)), context.loss, given)


class _Leaves:
    """Evaluates the loss of a tree where batches of its tensors are."""

    def __init__(
        self,
        leaves: Sequence[Leaf],
        batches: Sequence[Sequence[int]],
        evaluate: Evaluate | None,
    ) -> None:
        self.leaves, self.batches, self.evaluate = leaves, batches, evaluate

    def __call__(self, places: Sequence[Place], fresh: bool) -> Answer:
        assert self.evaluate is not None, "a rule that asks was refused without it"
        points = self._tensors([place.point for place in places])
        asked = [Product(x.asked, self._tensors(x.along)) for x in products(places)]
        loss, grads, found = self.evaluate(points, asked, fresh)
        each = [self._batched(x) for x in found]
        return Answer([loss] * len(places), self._batched(grads), each)

    def _tensors(self, values: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return what belongs to each tensor, in its shape."""
        found: dict[int, Tensor | None] = {}
        for batch, value in zip(self.batches, values, strict=True):
            for k, i in enumerate(batch):
                found[i] = None if value is None else self._shaped(value[k], self.leaves[i].param)
        return [found[i] for i in range(len(self.leaves))]

    def _shaped(self, value: Tensor, like: Tensor) -> Tensor:
        shaped = value.reshape(real(like).shape).to(real(like).dtype)
        return torch.view_as_complex(shaped.contiguous()) if like.is_complex() else shaped

    def _batched(self, values: Sequence[Tensor]) -> list[Tensor]:
        return [_joined([matrix(values[i], size(values[i])) for i in b]) for b in self.batches]


def _batches(leaves: Sequence[Leaf]) -> list[list[int]]:
    """Return the places of tensors that can be stacked; large ones step alone."""
    found: dict[tuple[object, ...], list[int]] = {}
    for i, x in enumerate(leaves):
        alone = i if x.param.numel() > STACKED_UP_TO else None
        kind = (*size(x.param), x.param.dtype, x.param.device, x.grad.dtype, alone)
        found.setdefault(kind, []).append(i)
    return [sorted(same, key=lambda i: not leaves[i].due) for same in found.values()]


def _inputs(stepper: Stepper, batch: Sequence[Leaf], context: Context) -> Inputs:
    """Return what tensors of one size step from."""
    first, lengths = batch[0], size(batch[0].param)
    shapes = [(1, *f.lengths(lengths)) for f in stepper.program.fields]
    clock = context.clock.to(first.param.device)
    stream = places_ = None
    origins = [x.origin for x in batch if x.origin is not None]
    if origins:
        stream = torch.stack([draws.stream(x, clock) for x in origins]).reshape(-1, 1, 1)
        places_ = places(lengths, first.param.device).expand(len(batch), -1, -1)
    count, phase = sum(x.due for x in batch), context.phase
    return Inputs(
        _joined([matrix(x.param, lengths) for x in batch]),
        _joined([matrix(x.grad, lengths) for x in batch]),
        [_joined([x.states[k].reshape(shape) for x in batch]) for k, shape in enumerate(shapes)],
        clock.expand(len(batch), 1, 1),
        context.loss,
        context.hyper,
        {name: torch.stack([x.moments[name] for x in batch]) for name in first.moments},
        phase if count else refresh.KEEP,
        stream=stream,
        places=places_,
        due=slice(0, count) if 0 < count < len(batch) else None,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _after(
    stepper: Stepper,
    param: Tensor,
    weight: Tensor,
    states: Sequence[Tensor],
    noise: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Return a new value and new states in the shapes and dtypes in which they are kept."""
    value = weight.reshape(real(param).shape).to(real(param).dtype)
    if param.is_complex():
        value = torch.view_as_complex(value.contiguous())
    fields = stepper.program.fields
    rounded = []
    for k, (field, state) in enumerate(zip(fields, states, strict=True)):
        dtype, stream = stepper.kept_dtype(field, param), None if noise is None else noise[None]
        first = torch.zeros(1, dtype=torch.int64, device=state.device)
        kept = rounding.kept(k, state[None], dtype, stream, first)
        rounded.append(_kept(stepper, field, param, kept))
    return value, rounded


def _kept(stepper: Stepper, field: Field, param: Tensor, state: Tensor) -> Tensor:
    """Return a state as it is kept: in the tensor's own shape, if it has as many rows, columns."""
    shape = real(param).shape if is_native(field) else field.lengths(size(param))
    return state.reshape(shape).to(stepper.kept_dtype(field, param))
