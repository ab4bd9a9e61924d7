"""Buckets: parameters that step together, with their states in one tensor for each field.

The states of a bucket's parameters are views of its buffers, so that nothing is stacked at a step,
and `opt.state[p]` looks as if each had its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import has_values, lengths, rows_finite, trace
from normdsl.compiler.buckets.guards import Guards
from normdsl.compiler.buckets.memory import Memory
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.layout import OFFSET, STEP, Layout, real
from normdsl.compiler.layouts.shards import all_aligned, local, locals_of, mesh_of, seen_as
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering import refresh

#: Tensors with as many entries are measured one by one, which CPUs do faster.
LARGE = 2**16
#: No tensor has this version.
_STALE = -1


def _is_large(param: Tensor) -> bool:
    plain = type(param) in (Tensor, torch.nn.Parameter) and param.device.type == "cpu"
    return plain and param.numel() >= LARGE


def _joined(pieces: Sequence[Tensor], layout: Layout) -> Tensor:
    """Return the tensor that has some matrices."""
    return layout.view.join(pieces, layout.shape)


def _turns(places: Sequence[int]) -> dict[int, slice]:
    """Return which members have each place, which are next to one another."""
    found: dict[int, slice] = {}
    for k, place in enumerate(places):
        found[place] = slice(found[place].start if place in found else k, k + 1)
    return found


class Bucket(ABC):
    """Parameters of one rule, dtype and device that step together.

    Args:
        members: the parameters, of one step count, by their offsets in the period of refreshes.
        maximize: whether gradients are negated.
        uniform: whether they always step together, so that one step count is that of all.
    """

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        self.members, self.maximize, self.uniform = tuple(members), maximize, uniform
        self.memory = Memory()  # until it is given one that others use as well
        first = members[0]
        self.stepper: Stepper = first.layout.stepper
        self.group = first.group
        self.params = [m.param for m in members]
        self.done, self.fresh = first.done, first.fresh
        self._complex = first.param.is_complex()
        #: The processes that hold the parameters together; None if each has its own.
        self.mesh = mesh_of(first.param)
        counts = torch.tensor(
            [[first.done] * len(members), [m.offset or 0 for m in members]],
            dtype=torch.int64,
            device=first.param.device,
        )
        self.clocks, offsets = counts.unbind()
        self.views: list[dict[str, Tensor]] = [{STEP: x} for x in self.clocks.unbind()]
        if self.stepper.keeps:
            for views, x in zip(self.views, offsets.unbind(), strict=True):
                views[OFFSET] = x
        self._turns = _turns([self.stepper.place(m.offset or 0) for m in members])
        #: By the names of states, that of each member, once users see them.
        self.columns: list[tuple[str, list[Tensor]]] = []
        self._held: list[dict[str, Any]] = []
        self._version = self.clocks._version
        #: Largest magnitude of the weights of each member, when it was last asked for by `see`.
        self.seen: Tensor | None = None
        self._large = [k for k, p in enumerate(self.params) if _is_large(p)]
        self._small = [k for k, p in enumerate(self.params) if not _is_large(p)]

    @property
    def is_divided(self) -> bool:
        """Whether each process computes a part of its members, and sees only that."""
        return self.mesh is not None

    @property
    def is_native(self) -> bool:
        """Whether native code takes entries where they are."""
        return False

    @property
    def decides(self) -> bool:
        """Whether it can leave it to its device whether it steps, and that saves time."""
        return False

    def run_if(self, flag: Tensor, context: Context) -> Tensor:
        """Take the step if a flag is true; see `run`, for buckets that decide."""
        raise NotImplementedError

    def see(self) -> None:
        """Look at weights that others wrote, if the bucket writes before it knows what it makes."""
        return

    @property
    def pieces(self) -> int:
        """How many batches it is."""
        return 1

    @abstractmethod
    def told(self) -> str:
        """Return how the members step together, for people."""

    def locate(self, places: Sequence[Tensor] | None = None) -> None:
        """Note where weights and gradients are at this step, once before anything else.

        Args:
            places: addresses of weights, and of gradients, if they are known.
        """
        return

    @abstractmethod
    def inputs(self, context: Context) -> list[Inputs]:
        """Return what the matrices of the bucket step from; good until the next bucket's."""

    def slopes(self, context: Context) -> list[Tensor]:
        """Return the gradients that `inputs` would have, in memory of their own.

        They may be those of an evaluation elsewhere, while a step goes on from its own inputs.
        """
        return [x.grads.clone() for x in self.inputs(context)]

    def numbers(self, context: Context) -> list[dict[str, Any]]:
        """Return what is computed once for all entries of each of its batches.

        Raises:
            GradientError: if there is no such number.
        """
        t, hyper = self.clock(), context.hyper
        return [running.numbers(self.stepper, like, t, hyper) for like in self._likes]

    @cached_property
    def _likes(self) -> list[Tensor]:
        """For each batch a tensor of the size of its matrices, its dtype and device."""
        like = torch.empty(
            (), dtype=self.stepper.dtype(self.params[0]), device=self.params[0].device
        )
        return [like.expand(1, *size) for size in self.shapes]

    @property
    @abstractmethod
    def shapes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of the matrices of each of its batches."""

    @abstractmethod
    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        """Take the step, and return whether the result is finite, for each member or for all.

        Args:
            context: what they step with. known: scalars of all layers, for each of `inputs`.
            ok: which members take it, a tensor; None for all. Of those whose step is not usual it
                is known before anything is written that the result is finite.

        Raises:
            FactorisationError: if a factorisation fails.
        """

    @abstractmethod
    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        """Return what `run` would, for each member; nothing is written."""

    def shaped(self, batches: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return what a tensor for each of its batches has for each member, in its shape."""
        known = [x for x in batches if x is not None]
        if not known:
            return [None for _ in self.members]
        parts = [x.tensor_split(len(self.members)) for x in known]
        found: list[Tensor | None] = []
        for member, own in zip(self.members, zip(*parts, strict=True), strict=True):
            x = real(local(member.param)) if member.part is None else _joined(own, member.part)
            x = torch.view_as_complex(x.contiguous()) if self._complex else x
            found.append(x if self.mesh is None else seen_as(x, member.param))
        return found

    def answered(self, known: Sequence[Known]) -> Tensor | bool:
        """Return for each member whether what the loss answered is finite."""
        count = len(self.members)
        found = [x for own in known for x in own.get("answers", ())]
        each = [rows_finite(x.reshape(count, -1)) for x in found]
        return torch.stack(each).all(0) if each else True

    def join(self, guards: Guards, first: int) -> None:
        """Be told who looks at its parameters, among which they stand from a number on."""
        self._guards, self._first = guards, first

    def note_written(self) -> None:
        """Tell torch that native code wrote the weights, as its own operations do."""
        self._guards.wrote(self._first, self._first + len(self.params))

    def forget(self) -> None:
        """Let go of the states that members came with, once they are in the buffers."""
        self.members = tuple(attrs.evolve(m, state={}) for m in self.members)

    def count(self, ok: Tensor | None) -> None:
        """Count the step that members took, those of `ok` alone if that is given."""
        self.clocks.add_(1 if ok is None else ok)
        self.done, self.fresh = self.done + 1, False
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
        self.columns = [(name, [views[name] for views in self.views]) for name in names]

    @property
    def counted(self) -> bool:
        """Whether the step counts of its members are as it left them."""
        return self.clocks._version == self._version

    @property
    def held(self) -> list[dict[str, Any]]:
        """The states of the members, as users see them."""
        return self._held

    def weights(self, first: int = 0, last: int | None = None) -> list[Tensor]:
        """Return the parameters, or some, over the real numbers: what this process has of them."""
        found = self.params[first:last]
        return self._reals(found if self.mesh is None else locals_of(found))

    def grads(self, first: int = 0, last: int | None = None) -> list[Tensor]:
        """Return their gradients, over the real numbers."""
        params = self.params[first:last]
        found = [g for p in params if (g := p.grad) is not None]
        return self._reals(found if self.mesh is None else all_aligned(found, params))

    def sizes(self, name: str) -> Tensor:
        """Return numbers not below the largest magnitude, and finite only if all entries are.

        Args:
            name: W for the weights of all members, G for their gradients.
        """
        return self._lengths(self.weights() if name == "W" else self.grads())

    def largest(self, name: str) -> Tensor:
        """Return for each member the largest magnitude, NaN if there is one; see `sizes`."""
        values = self.weights() if name == "W" else self.grads()
        if self.mesh is not None:  # of some there may be nothing here
            none = torch.zeros(1, dtype=values[0].dtype, device=values[0].device)
            pairs = zip(values, map(Tensor.numel, values), strict=True)
            values = [x if count else none for x, count in pairs]
        return torch.stack(torch._foreach_norm(values, math.inf))

    def _lengths(self, values: list[Tensor]) -> Tensor:
        found = [trace(values[k]).sqrt() for k in self._large]
        if self._small:
            found += lengths([values[k] for k in self._small])
        return torch.stack(found)

    def _reals(self, values: list[Tensor]) -> list[Tensor]:
        return [real(x) for x in values] if self._complex else values

    def t(self) -> Tensor:
        """Return the index of this step, from 1: a scalar on the host, or one for each matrix."""
        return torch.tensor(self.done + 1, device="cpu") if self.uniform else self.clocks + 1

    def clock(self) -> int | Tensor:
        """Return the index of this step, from 1: a number, or a tensor with one for each matrix."""
        return self.done + 1 if self.uniform else self.t()

    def keys(self) -> Tensor | None:
        """Return where draws start by which kernels round the states of members, if they do."""
        if not self.stepper.rounds:
            return None
        return rounding.keys(self.streams(), len(self.stepper.program.fields))

    def streams(self) -> Tensor:
        """Return the stream of random numbers of each member at this step."""
        origins = [m.origin for m in self.members if m.origin is not None]
        return draws.stream(torch.stack(origins), self.clocks + 1)

    def slope(self, grads: Tensor) -> Tensor:
        """Return gradients of what is minimised."""
        return -grads if self.maximize else grads

    @property
    def turn(self) -> tuple[int, slice | None]:
        """What this step does with kept values, and for which members; None for all."""
        if not self.stepper.keeps:
            return refresh.KEEP, None
        if self.fresh or not self.done:
            return refresh.FIRST, None
        due = self._turns.get(self.stepper.place(-self.done))
        if due is None:
            return refresh.KEEP, None
        return refresh.COMPUTE, None if due == slice(0, len(self.params)) else due

    def next_turn(self) -> tuple[int, int]:
        """Return the next step that computes kept values, and of how many members one does."""
        period = self.stepper.program.schedule.refresh
        waits = (k for k in range(period) if self.stepper.place(-self.done - k) in self._turns)
        return self.done + next(waits) + 1, max(x.stop - x.start for x in self._turns.values())

    def _buffers(self, member: Member) -> Iterator[torch.dtype]:
        for field in self.stepper.program.fields:
            yield self.stepper.kept_dtype(field, member.param)
