"""Buckets: parameters that step together, with their states in one tensor for each field.

The states of a bucket's parameters are views of its buffers, so that nothing is stacked at a step,
and `opt.state[p]` looks as if each had its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import is_
from typing import Any, NamedTuple

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime import draws
from normdsl.compiler.runtime.layout import STEP, Layout, real
from normdsl.compiler.runtime.nonfinite import has_values, largest
from normdsl.compiler.runtime.stepper import Inputs, Known, Stepper
from normdsl.compiler.runtime.views import View
from normdsl.errors import FactorisationError

New = tuple[Tensor, Sequence[Tensor]]
#: No tensor has this version.
_STALE = -1


@attrs.frozen(eq=False)
class Member:
    """A parameter in a plan, with what does not change from step to step.

    Args:
        param: the parameter. layout: how it steps. group: the number of its group.
        state: its state, complete, as it is before the next step.
        done: how many steps it took. fresh: whether anything in its state was just begun.
        origin: where its random numbers start, if the rule draws.
    """

    param: Tensor
    layout: Layout
    group: int
    state: Mapping[str, Tensor]
    done: int
    fresh: bool = False
    origin: Tensor | None = None

    @property
    def where(self) -> tuple[str, tuple[int, ...]]:
        """Name of the rule and shape of the parameter, for messages."""
        return self.layout.stepper.program.declaration.name, tuple(self.param.shape)


class Context(NamedTuple):
    """What all parameters of a bucket step with.

    Args:
        hyper: the hyper-parameters. loss: the loss, if the rule reads it.
        moments: by name, of each parameter, if the rule reads those.
        given: whether what each of them steps from is finite, if one that is not is skipped.
    """

    hyper: Mapping[str, Any]
    loss: Tensor | None = None
    moments: Mapping[str, Sequence[Tensor]] = {}
    given: Tensor | None = None


class Bucket(ABC):
    """Parameters of one rule, dtype and device that step together.

    Args:
        members: the parameters, of one step count. maximize: whether gradients are negated.
        uniform: whether they always step together, so that one step count is that of all.
    """

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        self.members, self.maximize, self.uniform = tuple(members), maximize, uniform
        first = members[0]
        self.stepper: Stepper = first.layout.stepper
        self.group = first.group
        self.params = [m.param for m in members]
        self.done, self._fresh = first.done, first.fresh
        self.clocks = torch.full(
            (len(members),), first.done, dtype=torch.int64, device=first.param.device
        )
        self.views: list[dict[str, Tensor]] = [{STEP: x} for x in self.clocks.unbind()]
        self._columns: list[tuple[str, list[Tensor]]] = []
        self._held: list[dict[str, Any]] = []
        self._version = self.clocks._version

    @property
    def pieces(self) -> int:
        """How many batches it is."""
        return 1

    @abstractmethod
    def inputs(self, context: Context) -> list[Inputs]:
        """Return what the matrices of the bucket step from; good until the next bucket's."""

    @abstractmethod
    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        """Take the step, and return whether the result is finite, for each member or for all.

        Args:
            context: what they step with. known: scalars of all layers, for each of `inputs`.
            ok: which members take it, a tensor; None for all.

        Raises:
            FactorisationError: if a factorisation fails.
        """

    @abstractmethod
    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        """Return what `run` would, for each member; nothing is written."""

    def count(self, ok: Tensor | None) -> None:
        """Count the step that members took, those of `ok` alone if that is given."""
        self.clocks.add_(1 if ok is None else ok)
        self.done, self._fresh = self.done + 1, False
        self._version = self.clocks._version
        if ok is not None and self.stepper.keeps and has_values(ok) and not bool(ok.all()):
            self._version = _STALE  # they do not refresh together any more

    def publish(self, state: Mapping[Tensor, dict[str, Any]]) -> None:
        """Put the states where users find them, once there is a step that made them.

        Values that another schedule kept in a state are out of date then, and removed; entries of
        other packages stay.
        """
        if self._held:
            return
        for member, views in zip(self.members, self.views, strict=True):
            own = state[member.param]
            for key in [k for k in own.keys() - views.keys() if member.layout.owns(k)]:
                del own[key]
            own.update(views)
            self._held.append(own)
        names = list(self.views[0])
        same = all(list(views) == names for views in self.views)
        assert same, "members of one bucket have the same states"
        self._columns = [(name, [views[name] for views in self.views]) for name in names]

    def holds(self) -> bool:
        """Return whether the states are still those of this bucket, and their counts its own."""
        if self.clocks._version != self._version:
            return False
        try:
            return all(
                all(map(is_, [own[name] for own in self._held], column))
                for name, column in self._columns
            )
        except KeyError:
            return False

    @property
    def held(self) -> list[dict[str, Any]]:
        """The states of the members, as users see them."""
        return self._held

    def t(self) -> Tensor:
        """Return the index of this step, from 1: a scalar, or one for each member."""
        return self.clocks[0] + 1 if self.uniform else self.clocks + 1

    def slope(self, grads: Tensor) -> Tensor:
        """Return gradients of what is minimised."""
        return -grads if self.maximize else grads

    @property
    def phase(self) -> int:
        """What this step does with kept values."""
        return self.stepper.phase(0 if self._fresh else self.done)

    def _buffers(self, member: Member) -> Iterator[torch.dtype]:
        for field in self.stepper.program.fields:
            yield self.stepper.kept_dtype(field, member.param)


class Matrices(Bucket):
    """Parameters that are seen as equally many matrices of one size: one batch."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        first = members[0]
        ((self.each, *size),) = first.layout.sizes
        self.size = (size[0], size[1])
        self.total = self.each * len(members)
        device = first.param.device
        self.states = []
        fields = self.stepper.program.fields
        for field, dtype in zip(fields, self._buffers(first), strict=True):
            shape = (self.total, *field.lengths(self.size))
            buffer = torch.empty(shape, dtype=dtype, device=device)
            self.states.append(buffer)
            for views, member, part in zip(
                self.views, members, buffer.split(self.each), strict=True
            ):
                kept = member.layout.write(field, [part])
                for key, x in kept.items():
                    x.copy_(member.state[key])
                views.update(kept)
        self.alone = (
            len(members) == 1
            and first.param.is_contiguous()
            and is_seen_in_place(first.layout.view, first.layout.shape)
        )
        self._work: tuple[Tensor, Tensor] | None = None
        self._places: list[list[Tensor]] = []

    def inputs(self, context: Context) -> list[Inputs]:
        """Return the batch."""
        weights, grads = self._gathered()
        counted = None
        if context.given is not None:
            counted = self._column(context.given)
            grads = torch.where(counted, grads, 0)
        t = self.t()
        stream = places = None
        if self.stepper.program.draws:
            origins = torch.stack([m.origin for m in self.members if m.origin is not None])
            stream = self._column(draws.stream(origins, self.clocks + 1))
            places = torch.cat([draws.places(m.layout, m.param)[0] for m in self.members])
        moments = {k: torch.stack([*column]) for k, column in context.moments.items()}
        if context.given is not None:
            moments = {k: torch.where(counted, x, 0) for k, x in moments.items()}
        return [
            Inputs(
                weights,
                grads,
                self.states,
                t if t.ndim == 0 else self._column(t),
                context.loss,
                context.hyper,
                moments,
                self.phase,
                counted,
                stream,
                places,
            )
        ]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        (inputs,) = self.inputs(context)
        weights, states = self._stepped(inputs, known[0])
        good = self._good(weights, states)
        mask = None if ok is None else self._column(ok & good)
        self._put(inputs, weights, states, mask)
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        (inputs,) = self.inputs(context)
        return self._good(*self._stepped(inputs, known[0]))

    def _stepped(self, inputs: Inputs, known: Known, alone: bool = False) -> New:
        """Return what is new; where a factorisation fails and such steps are left out, NaN.

        Members then step one by one, unless they are joined.
        """
        try:
            return self.stepper.step(inputs, known)
        except FactorisationError:
            if inputs.counted is None:
                raise
        if known or alone or len(self.members) == 1:
            return torch.full_like(inputs.weights, torch.nan), inputs.states
        parts = [
            self._stepped(inputs.part(slice(k, k + self.each)), known, alone=True)
            for k in range(0, self.total, self.each)
        ]
        weights, states = zip(*parts, strict=True)
        return torch.cat(weights), [torch.cat(column) for column in zip(*states, strict=True)]

    def _good(self, weights: Tensor, states: Sequence[Tensor]) -> Tensor:
        """Return for each member whether what it becomes is finite."""
        kept = [weights.to(real(self.params[0]).dtype)]
        kept += [new.to(old.dtype) for new, old in zip(states, self.states, strict=True)]
        sizes = [largest(x.reshape(len(self.members), -1)) for x in kept]
        return torch.isfinite(torch.stack(sizes)).all(0)

    def _put(
        self, inputs: Inputs, weights: Tensor, states: Sequence[Tensor], mask: Tensor | None
    ) -> None:
        if mask is not None:
            weights = torch.where(mask, weights, inputs.weights)
        inputs.weights.copy_(weights)
        if not self.alone:
            torch._foreach_copy_([real(p) for p in self.params], self._places[0])
        for old, new in zip(self.states, states, strict=True):
            old.copy_(new if mask is None else torch.where(mask, new, old))

    def _column(self, each: Tensor) -> Tensor:
        """Return what belongs to each member for each of its matrices, total × 1 × 1."""
        return each.repeat_interleave(self.each).reshape(-1, 1, 1)

    def _gathered(self) -> tuple[Tensor, Tensor]:
        """Return weights and gradients as batches."""
        grads = [real(p.grad) for p in self.params if p.grad is not None]
        if self.alone:
            view = self.members[0].layout.view
            return view.pieces(real(self.params[0]))[0], self.slope(view.pieces(grads[0])[0])
        weights, slopes = self._workspace()
        torch._foreach_copy_(self._places[0], [real(p) for p in self.params])
        torch._foreach_copy_(self._places[1], grads)
        return weights, slopes.neg_() if self.maximize else slopes

    def _workspace(self) -> tuple[Tensor, Tensor]:
        """Return memory for weights and gradients, and see to it that members have places there."""
        if self._work is None:
            first, shape = self.params[0], (self.total, *self.size)
            dtype = self.stepper.dtype(first)
            self._work = (
                torch.empty(shape, dtype=dtype, device=first.device),
                torch.empty(shape, dtype=dtype, device=first.device),
            )
            self._places = [
                [
                    m.layout.view.join([part], m.layout.shape)
                    for m, part in zip(self.members, work.split(self.each), strict=True)
                ]
                for work in self._work
            ]
        return self._work


class Loose(Bucket):
    """One parameter that cannot be part of a batch: of several sizes, or a tensor subclass."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        (member,) = members
        layout = member.layout
        for field, dtype in zip(layout.fields, self._buffers(member), strict=True):
            for key in layout.stored(field):
                self.views[0][key] = _home(real(member.param), member.state[key], dtype)

    @property
    def pieces(self) -> int:
        """How many batches it is: one for each size of its matrices."""
        return len(self.members[0].layout.sizes)

    def inputs(self, context: Context) -> list[Inputs]:
        """Return a batch for each of its pieces."""
        (member,) = self.members
        layout, param = member.layout, real(member.param)
        assert member.param.grad is not None
        grad, given = real(self.slope(member.param.grad)), None
        if context.given is not None:
            given = context.given.reshape(1, 1, 1)
            grad = torch.where(context.given[0], grad, 0)
        fields = self.stepper.program.fields
        states = [layout.read(self.views[0], field) for field in fields]
        moments = {k: torch.stack([*column]) for k, column in context.moments.items()}
        drawn: dict[str, Any] = {}
        if member.origin is not None:
            drawn["stream"] = draws.stream(member.origin, self.clocks[0] + 1).reshape(1, 1, 1)
        places = draws.places(layout, param) if drawn else [None for _ in layout.sizes]
        weights, grads = layout.view.pieces(param), layout.view.pieces(grad)
        return [
            Inputs(
                w,
                g,
                [pieces[k] for pieces in states],
                self.clocks[0] + 1,
                context.loss,
                context.hyper,
                moments
                if given is None
                else {n: torch.where(given, x, 0) for n, x in moments.items()},
                self.phase,
                given,
                places=places[k],
                **{k: x.expand(w.shape[0], 1, 1) for k, x in drawn.items()},
            )
            for k, (w, g) in enumerate(zip(weights, grads, strict=True))
        ]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        weight, states = self._made(context, known)
        good = self._good(weight, states)
        mask = None if ok is None else (ok & good)[0]
        param = self.members[0].param
        weight = weight if mask is None else torch.where(mask, weight, real(param))
        param.copy_(torch.view_as_complex(weight.contiguous()) if param.is_complex() else weight)
        for key, new in states.items():
            old = self.views[0][key]
            old.copy_(new if mask is None else torch.where(mask, new, old))
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        return self._good(*self._made(context, known))

    def _made(self, context: Context, known: Sequence[Known]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new value and the new states, as they are kept."""
        (member,) = self.members
        layout, param = member.layout, real(member.param)
        pieces = zip(self.inputs(context), known, strict=True)
        try:
            new = [self.stepper.step(inputs, told) for inputs, told in pieces]
        except FactorisationError:
            if context.given is None:
                raise
            return torch.full_like(param, torch.nan), {
                k: self.views[0][k] for k in self.views[0] if k != STEP
            }
        weight = layout.view.join([w for w, _ in new], layout.shape).to(param.dtype)
        states: dict[str, Tensor] = {}
        for k, field in enumerate(layout.fields):
            dtype = self.stepper.kept_dtype(field, member.param)
            kept = layout.write(field, [after[k] for _, after in new])
            states.update({key: x.to(dtype) for key, x in kept.items()})
        return weight, states

    def _good(self, weight: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        sizes = [largest(x.reshape(1, -1)) for x in (weight, *states.values())]
        return torch.isfinite(torch.stack(sizes)).all(0)


def _home(param: Tensor, state: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a state in memory of its own, laid out as the parameter if it has its shape."""
    like = param if param.shape == state.shape else state.contiguous()
    return torch.empty_like(like, dtype=dtype, requires_grad=False).copy_(state)


@lru_cache(maxsize=4096)
def is_resident(view: View, shape: tuple[int, ...]) -> bool:
    """Return whether the matrices of a parameter can be a part of a batch that it is a view of."""
    sizes = view.sizes(shape)
    if len(sizes) != 1:
        return False
    whole = torch.empty(sizes[0], device="meta")
    return view.join([whole], shape)._base is whole


@lru_cache(maxsize=4096)
def is_seen_in_place(view: View, shape: tuple[int, ...]) -> bool:
    """Return whether what is written to the matrices of a parameter is written to it."""
    whole = torch.empty(shape, device="meta")
    return all(x._base is whole for x in view.pieces(whole))


def stacks(member: Member) -> bool:
    """Return whether a parameter's matrices can stand in a batch, and its states in a buffer.

    States of its shape are laid out in memory as the parameter, which a batch of the matrices of a
    tensor with more axes may not be.
    """
    param, layout = member.param, member.layout
    plain = type(param) in (Tensor, torch.nn.Parameter) and not (param.is_conj() or param.is_neg())
    if layout.stepper.entrywise:
        like = torch.empty_like(param, device="meta")  # of the same strides, if these are dense
        return plain and like.stride() == param.stride()
    usual = param.ndim <= 2 or param.is_contiguous()
    return plain and usual and is_resident(layout.view, layout.shape)
