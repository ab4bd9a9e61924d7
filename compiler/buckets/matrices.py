"""Rules of matrices: parameters seen as equally many matrices of one size, in one batch.

Where the rule commutes with transposition, matrices of the transposed size stand in it transposed;
what users see of their states is a view in their own shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import rows_finite, trace
from normdsl.compiler.buckets.alone import everywhere, owners, placed, together, where
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.layout import Layout, is_native, real
from normdsl.compiler.layouts.shards import local
from normdsl.compiler.layouts.view import View
from normdsl.compiler.lowering.transposable import sized
from normdsl.errors import FactorisationError

T = TypeVar("T")
#: New weights and states.
New = tuple[Tensor, Sequence[Tensor]]


class Matrices(Bucket):
    """Parameters that are seen as equally many matrices of one size, or transposed: one batch.

    Args:
        members: the parameters. maximize, uniform: as for any bucket.
        why: why entry-wise parts of the rule are not native code.
    """

    #: What computes kept values; None for what the program has for it.
    _renew: Callable[..., Sequence[Tensor]] | None = None

    def __init__(
        self, members: Sequence[Member], maximize: bool, uniform: bool, why: str = ""
    ) -> None:
        super().__init__(members, maximize, uniform)
        self._why = why
        first = members[0]
        self.layouts: list[Layout] = [own for m in members if (own := m.part) is not None]
        sizes = sorted({x.sizes[0] for x in self.layouts})  # the wide one first
        self.each, *size = sizes[0]
        self.size = (size[0], size[1])
        self.turned = [x.sizes[0] != sizes[0] for x in self.layouts]  # the last ones
        self.total = self.each * len(members)
        device = first.param.device
        self._flags = self._column(torch.tensor(self.turned, device=device))
        self.states = []
        fields = self.stepper.program.fields
        for field, dtype in zip(fields, self._buffers(first), strict=True):
            shape = (self.total, *field.lengths(self.size))
            buffer = torch.empty(shape, dtype=dtype, device=device)
            self.states.append(buffer)
            parts = self._homes(buffer) if is_native(field) else torch.split(buffer, self.each)
            for k, (member, part) in enumerate(zip(members, parts, strict=True)):
                for key, home in self.layouts[k].write(field, [part]).items():
                    self.views[k][key] = placed(member, field, member.state[key], home)
        for k, member in enumerate(members):
            self.views[k].update(owners(member))
        self.alone = (
            len(members) == 1
            and local(first.param).is_contiguous()
            and is_seen_in_place(self.layouts[0].view, self.layouts[0].shape)
        )
        self._work: tuple[Tensor, Tensor] | None = None
        self._places: list[list[Tensor]] = []

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return [self.size]

    @property
    def shares(self) -> bool:
        """Whether it shares its matrices among threads itself, evenly."""
        return False

    def told(self) -> str:
        took = self.stepper.seconds
        if took is None:
            return f"{self._shape}, by torch's operations, {self._why}"
        return f"{self._shape}, compiled; the first step took {took:.1f} s"

    @property
    def _shape(self) -> str:
        m, n = self.size
        turned = f", {sum(self.turned)} of them transposed" if any(self.turned) else ""
        return f"as one batch, {self.total} × {m} × {n}{turned}{where(self.members[0])}"

    def numbers(self, context: Context) -> list[dict[str, Any]]:
        (own,) = super().numbers(context)
        names = sized(self.stepper.program)
        if not (any(self.turned) and names):
            return [own]
        like = torch.empty((), dtype=self.stepper.dtype(self.params[0]), device=self.clocks.device)
        others = running.numbers(
            self.stepper, like.expand(1, *self.size[::-1]), self.clock(), context.hyper
        )
        return [{**own, **{name: self._either(others[name], own[name], like) for name in names}}]

    def _either(self, turned: float | Tensor, own: float | Tensor, like: Tensor) -> Tensor:
        """Return a number of transposed matrices, and one of the others, where each is."""
        if isinstance(turned, Tensor) and isinstance(own, Tensor):
            return torch.where(self._flags, turned.to(like), own.to(like))
        # Numbers of the host are filled in, as a tensor of them would have to wait for the device.
        found = like.new_full((self.total, 1, 1), float(own))
        return found.masked_fill_(self._flags, float(turned))

    def t(self) -> Tensor:
        return super().t() if self.uniform else self._column(super().t())

    def inputs(self, context: Context) -> list[Inputs]:
        """Return the batch."""
        weights, grads = self._gathered()
        counted = None
        if context.given is not None:
            counted = self._column(context.given)
            grads = torch.where(counted, grads, 0)
        stream = places = None
        if self.stepper.draws:
            stream = self._column(self.streams())
        if self.stepper.program.draws:
            device = self.clocks.device
            places = torch.cat([draws.places(x, device)[0] for x in self.layouts])
        moments = {k: torch.stack([*column]) for k, column in context.moments.items()}
        if counted is not None:
            moments = {k: torch.where(counted, x, 0) for k, x in moments.items()}
        batch = self._batch(context, weights, grads)
        gather = everywhere(self.members)
        return [
            batch._replace(
                moments=moments, counted=counted, stream=stream, places=places, everywhere=gather
            )
        ]

    def slopes(self, context: Context) -> list[Tensor]:
        kept, self._work = self._work, None
        try:
            return super().slopes(context)
        finally:
            if kept is not None:
                self._use(kept)

    def _batch(self, context: Context, weights: Tensor, grads: Tensor) -> Inputs:
        """Return what all matrices step from, given their weights and gradients."""
        phase, due = self._turn()
        return Inputs(
            weights,
            grads,
            self.states,
            self.t(),
            context.loss,
            context.hyper,
            phase=phase,
            numbers=context.numbers[0],
            due=due,
        )

    def _turn(self) -> tuple[int, slice | None]:
        """Return what this step does with kept values, and for which matrices."""
        phase, members = self.turn
        return phase, members and slice(members.start * self.each, members.stop * self.each)

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        (inputs,) = self.inputs(context)
        if ok is None:
            inputs = self._renewed(inputs, known[0])
            kept = self._kept(
                inputs,
                *self._together(
                    context, lambda: running.step(self.stepper, inputs, known[0], reuse=True)
                ),
            )
            self._put(inputs, kept, None)
            return torch.isfinite(torch.stack([trace(x) for x in kept]))
        kept = self._kept(inputs, *self._stepped(inputs, known[0]))
        good = self._good(kept)
        self._put(inputs, kept, self._column(ok & good))
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        (inputs,) = self.inputs(context)
        new = self._together(context, lambda: self._stepped(inputs, known[0]))
        return self._good(self._kept(inputs, *new))

    def _together(self, context: Context, step: Callable[[], T]) -> T:
        """Return what a step makes, unless one fails on any process that has other matrices."""
        return together(self.mesh, self.stepper.program, context, step)

    def _renewed(self, inputs: Inputs, known: Known) -> Inputs:
        """Return the batch with kept values that are due computed in their places, if they can be.

        They are not where the step reads the old ones as well, where it may still fail, here or on
        another process, and must leave them then, and where they are rounded.
        """
        program = self.stepper.program
        homes = [self.states[k] for k in program.homes]
        exact = all(x.dtype == self.stepper.dtype(self.params[0]) for x in homes)
        waits = self.mesh is not None or not program.reuse
        if not inputs.phase or program.reads_last or waits or not exact:
            return inputs
        rows = slice(None) if inputs.due is None else inputs.due
        found = running.due(self.stepper, inputs, known, self._renew)
        for old, new in zip(homes, found, strict=True):
            old[rows].copy_(new)
        return inputs._replace(kept=homes)

    def _stepped(self, inputs: Inputs, known: Known, alone: bool = False) -> New:
        """Return what is new; where a factorisation fails and such steps are left out, NaN.

        Members then step one by one, unless they are joined.
        """
        try:
            return running.step(self.stepper, inputs, known)
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

    def _good(self, kept: Sequence[Tensor]) -> Tensor:
        """Return for each member whether what it becomes is finite."""
        each = [rows_finite(x.reshape(len(self.members), -1)) for x in kept]
        return torch.stack(each).all(0)

    def _kept(self, inputs: Inputs, weights: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """Return what is new in the dtypes in which it is kept."""
        stream = inputs.stream if self.stepper.rounds else None
        pairs = enumerate(zip(states, self.states, strict=True))
        return [
            weights.to(real(self.params[0]).dtype),
            *(rounding.kept(k, new, old.dtype, stream, self._numbers) for k, (new, old) in pairs),
        ]

    def _put(self, inputs: Inputs, kept: Sequence[Tensor], mask: Tensor | None) -> None:
        """Write what is new."""
        for old, new in zip((inputs.weights, *self.states), kept, strict=True):
            old.copy_(new if mask is None else torch.where(mask, new, old))
        if not self.alone:
            torch._foreach_copy_(self.weights(), self._places[0])

    @cached_property
    def _numbers(self) -> Tensor:
        """Which of the matrices of its parameter each is."""
        each = torch.tensor(self.members[0].numbers, device=self.clocks.device)
        return each.repeat(len(self.members))

    def _column(self, each: Tensor) -> Tensor:
        """Return what belongs to each member for each of its matrices, total × 1 × 1."""
        return each.repeat_interleave(self.each).reshape(-1, 1, 1)

    def _gathered(self) -> tuple[Tensor, Tensor]:
        """Return weights and gradients as batches."""
        grads = self.grads()
        if self.alone:
            view = self.layouts[0].view
            return view.pieces(self.weights()[0])[0], self.slope(view.pieces(grads[0])[0])
        weights, slopes = self._workspace()
        torch._foreach_copy_(self._places[0], self.weights())
        torch._foreach_copy_(self._places[1], grads)
        return weights, slopes.neg_() if self.maximize else slopes

    def _parts(self, batch: Tensor) -> list[Tensor]:
        """Return the matrices of each member in a batch, as that member sees them."""
        parts = zip(torch.split(batch, self.each), self.turned, strict=True)
        return [part.mT if turned else part for part, turned in parts]

    def _homes(self, buffer: Tensor) -> list[Tensor]:
        """Return where each member has its state, in the buffer of all of them."""
        return self._parts(buffer)

    def _workspace(self) -> tuple[Tensor, Tensor]:
        """Return memory for weights and gradients, and see to it that members have places there."""
        if self._work is None:
            first, shape = self.params[0], (self.total, *self.size)
            # Weights as they are, so that those that stay do so bit by bit.
            return self._use(
                (
                    torch.empty(shape, dtype=real(first).dtype, device=first.device),
                    torch.empty(shape, dtype=self.stepper.dtype(first), device=first.device),
                )
            )
        return self._work

    def _use(self, work: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Let members have their places in memory for weights and gradients."""
        self._work = work
        self._places = [
            [
                x.view.join([part], x.shape)
                for x, part in zip(self.layouts, self._parts(each), strict=True)
            ]
            for each in work
        ]
        return work


@lru_cache(maxsize=4096)
def is_resident(view: View, shape: tuple[int, ...], turned: bool = False) -> bool:
    """Return whether the matrices of a parameter can be a part of a batch that it is a view of.

    Args:
        view: how it is seen. shape: its shape. turned: whether they stand there transposed.
    """
    sizes = view.sizes(shape)
    if len(sizes) != 1:
        return False
    count, rows, cols = sizes[0]
    whole = torch.empty((count, cols, rows) if turned else sizes[0], device="meta")
    return view.join([whole.mT if turned else whole], shape)._base is whole


@lru_cache(maxsize=4096)
def is_seen_in_place(view: View, shape: tuple[int, ...]) -> bool:
    """Return whether what is written to the matrices of a parameter is written to it."""
    whole = torch.empty(shape, device="meta")
    return all(x._base is whole for x in view.pieces(whole))
