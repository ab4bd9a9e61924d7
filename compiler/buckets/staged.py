"""Staged: matrix rules whose entry-wise parts are native code, before and after the products.

What matrix operations read is made in one pass over gradients and states, where they are, and the
new weights and states in another. Neither weights nor gradients are copied together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import has_values, rows_finite, trace
from normdsl.compiler.batches.transposes import Transposes
from normdsl.compiler.buckets import kernel_numbers
from normdsl.compiler.buckets.matrices import Matrices, is_seen_in_place
from normdsl.compiler.buckets.midway import Midway, midway
from normdsl.compiler.layouts.layout import is_native, real
from normdsl.compiler.layouts.shards import local
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.stages import Stages, stages, why_whole
from normdsl.compiler.native import polar, products
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.kernels import kernel
from normdsl.compiler.native.scalars import Scalars, traced
from normdsl.compiler.native.table import Table, addresses
from normdsl.errors import FactorisationError
from normdsl.expressions.conduct import Role

#: So many matrices for each thread are shared evenly enough.
EACH = 4


class Found(NamedTuple):
    """What the matrix operations of a step make.

    Args:
        values: the matrices of which entries are made. numbers: with which this is done.
        rest: new states that are made of no entries, by their numbers.
    """

    values: Sequence[Tensor]
    numbers: Tensor
    rest: Sequence[tuple[int, Tensor]]


class Staged(Matrices):
    """Parameters that are seen as matrices of one size, whose entries native code takes."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        parts = stages(self.stepper.program)
        assert parts is not None
        self.parts = parts
        self._feed, self._step = compiled(members[0])
        self._polar = _takes_polar(parts, self.size, self._feed.computed, self.clocks.device)
        self._products = _takes_products(parts, self._feed.computed, self.clocks.device)
        self._renew = parts.renew if self._products else None
        roles = {x.role for x in inside(self.stepper.program.graph)}
        self._shares = self._polar and roles <= {None, Role.POLAR}
        self._midway = self._between()
        first = self.turned.index(True) * self.each if any(self.turned) else None
        self._transposes = None if first is None else Transposes(first, self.size)
        self._names = self._feed.scalars.arrays
        lengths = [self.size[0] * self.size[1]] * self.total
        self.table = Table(lengths, len(self._names), self._feed.block, self.clocks.device)
        for name in parts.arrays[2:]:
            self._note(name, self.states[int(name[1:])])
        # Of this step's gradients those that had to be copied, which must outlive the kernels.
        self._copies: list[Tensor] = []
        self._copies_some = not all(g.is_contiguous() for g in self.grads())
        self._kinds = (self.params[0].dtype, self.grads(0, 1)[0].dtype)

    @property
    def shares(self) -> bool:
        return self._shares and self.total >= EACH * torch.get_num_threads()

    def _between(self) -> dict[str, Midway]:
        """Return native code in place of functions that matrix operations call, on CPUs."""
        if self.clocks.device.type != "cpu":
            return {}
        parts, dtype = self.parts, self._feed.computed
        found = {
            x.name: midway(x, parts.numbers, dtype, self.total, self.size) for x in parts.between
        }
        return {name: x for name, x in found.items() if x is not None}

    def told(self) -> str:
        kernels = [self._feed, self._step, *(x.kernel for x in self._midway.values())]
        took = sum(x.seconds for x in kernels)
        count = {2: "two", 3: "three"}.get(len(kernels), len(kernels))
        more = ", polar factors by one" if self._polar else ""
        more += ", products in C++" if self._products else ""
        language = self._feed.language
        return f"{self._shape}, entries by {count} kernels in {language} ({took:.1f} s){more}"

    @property
    def is_native(self) -> bool:
        return True

    def locate(self, places: Sequence[Tensor] | None = None) -> None:
        if places is None or self._copies_some:
            self._copies = [g.contiguous() for g in self.grads()]
            places = addresses(self.weights()), addresses(self._copies)
        for name, first, dtype in zip("WG", places, self._kinds, strict=True):
            step = self.size[0] * self.size[1] * dtype.itemsize
            within = torch.arange(0, self.each * step, step, device="cpu")
            self.table.place(self._names.index(name), (first[:, None] + within).reshape(-1))

    def inputs(self, context: Context) -> list[Inputs]:
        (batch,) = super().inputs(context)
        return [batch._replace(states=self._reordered(self.states))]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        if ok is None:
            return self._taken(context)
        try:
            if not self.stepper.keeps:
                return self._taken_by(context, ok)
            # Who keeps values reads step counts, and may as well read whether all is as usual.
            assert context.usual is not None
            if not has_values(ok) or bool((ok & context.usual).all()):
                return self._taken(context, each=True)
        except FactorisationError:
            pass  # nothing is written yet, and of one parameter alone it may succeed
        return super().run(context, known, ok)

    def _taken(self, context: Context, each: bool = False) -> Tensor:
        """Take the step; return whether all that is new is finite, in several parts or for each."""
        batch, fed = self._fed(context, None)
        batch = self._renewed(batch, {})
        found = self._together(context, lambda: self._found(context, batch, fed, reuse=True))
        good = self._step.step(self.table, found.numbers, None, True, self.keys())
        self.note_written()
        rest = [self.states[k].copy_(x) for k, x in found.rest]
        if each:
            return self._written(self._settled(good, rest))
        return torch.stack([good.all(), *(torch.isfinite(trace(x)) for x in rest)])

    def _taken_by(self, context: Context, ok: Tensor) -> Tensor:
        """Take the step of some members; return whether all that is new is finite, for each.

        Matrix operations take the gradients of the others for zero.
        """
        found = self._found(context, *self._fed(context, ok), reuse=False)
        assert context.usual is not None
        rest = [x for _, x in found.rest]
        good = self._tested(found, ok & ~context.usual, write=False)
        good = self._settled(good, rest)
        fine = self._tested(found, ok & good, write=True)
        mask = self._column(ok & good)
        for k, new in found.rest:
            self.states[k].copy_(torch.where(mask, new, self.states[k]))
        return good & self._written(self._settled(fine, ()))

    def _tested(self, found: Found, members: Tensor, write: bool) -> Tensor:
        which = members.repeat_interleave(self.each)
        good = self._step.step(self.table, found.numbers, which, write, self.keys())
        if write:
            self.note_written()
        return good

    def _settled(self, good: Tensor, rest: Sequence[Tensor]) -> Tensor:
        """Return for each member whether all is good for each of its matrices, and finite."""
        count = len(self.members)
        each = [rows_finite(x.reshape(count, -1)) for x in rest]
        return torch.stack([good.reshape(count, -1).all(1), *each]).all(0)

    def _written(self, fine: Tensor) -> Tensor:
        """Note who was written although it is not finite: they step no more."""
        assert self.seen is not None
        self.seen.masked_fill_(~fine, math.inf)
        return fine

    def _found(self, context: Context, batch: Inputs, fed: Sequence[Tensor], reuse: bool) -> Found:
        """Return what matrix operations make, and note where it is."""
        parts, count = self.parts, len(self.parts.values)
        last = count + len(parts.scalars)
        value = partial(parts.value, **self._midway)
        found = running.valued(self.stepper, value, batch, fed, reuse=reuse)
        values = [self._whole(x) for x in found[:count]]
        values = [self._transposes.unturned(x) for x in values] if self._transposes else values
        for name, x in zip(parts.values, values, strict=True):
            self._note(name, x)
        told = kernel_numbers.known(self, context)
        told |= dict(zip(parts.scalars, found[count:last], strict=True))
        rest = [(k, self._rounded(k, x)) for k, x in zip(parts.rest, found[last:], strict=True)]
        return Found(values, self._rows(self._step, told), rest)

    def _rounded(self, k: int, new: Tensor) -> Tensor:
        """Return a new state that is made of no entries as it is kept."""
        old, stream = self.states[k], self._column(self.streams()) if self.stepper.rounds else None
        return rounding.kept(k, new.expand_as(old), old.dtype, stream, self._numbers)

    def keys(self) -> Tensor | None:
        found, (m, n) = super().keys(), self.size
        if found is None:
            return None
        return found.repeat_interleave(self.each, 0) + (self._numbers * (m * n))[:, None]

    def _fed(self, context: Context, ok: Tensor | None) -> tuple[Inputs, list[Tensor]]:
        """Return what matrix operations step from, and what they are fed."""
        shape, dtype = (self.total, *self.size), self._feed.computed
        fed = self._given(ok) or self._made(context, ok)
        own = dict(zip(self.parts.fed, fed, strict=True))
        # Where neither is read, they still tell the shape.
        nothing = torch.empty((), dtype=dtype, device=self.clocks.device).expand(shape)
        weights, grads = (own.get(self.parts.reads.get(x, ""), nothing) for x in ("W", "G"))
        states = self._reordered(self.states, which=self.parts.direct)
        return self._batch(context, weights, grads)._replace(states=states), fed

    def _given(self, ok: Tensor | None) -> list[Tensor]:
        """Return what matrix operations are fed, if that is a gradient as it is; else nothing."""
        parts, members = self.parts, self.members
        if ok is not None or self.maximize or len(members) > 1:
            return []
        if list(parts.fed) != [parts.reads.get("G")]:
            return []
        (grad,) = self.grads()
        if grad.dtype != self._feed.computed or not grad.is_contiguous():
            return []
        return [grad.view(self.total, *self.size)]

    def _made(self, context: Context, ok: Tensor | None) -> list[Tensor]:
        """Return what matrix operations are fed, made of weights, gradients and states."""
        shape, dtype = (self.total, *self.size), self._feed.computed
        fed = self.memory.batches(len(self.parts.fed), shape, dtype, self.clocks.device)
        for name, x in zip(self.parts.fed, fed, strict=True):
            self._note(name, x)
        table = self.table
        if ok is not None:
            table = table.hidden(1, ok.repeat_interleave(self.each), self._zeros)
        numbers = self._rows(self._feed, kernel_numbers.known(self, context))
        self._feed.step(table, numbers, None, write=True)
        return [self._transposes.turned(x) for x in fed] if self._transposes else fed

    @cached_property
    def _zeros(self) -> Tensor:
        """A gradient of zero, for a matrix."""
        grad = self.grads(0, 1)[0]
        return torch.zeros(self.size, dtype=grad.dtype, device=grad.device)

    def largest(self, name: str) -> Tensor:
        blocks = self._feed.largest(self.table, "WG".index(name))
        return self.table.largest(blocks).reshape(len(self.members), -1).amax(1)

    def see(self) -> None:
        self.seen = self.largest("W")

    def _homes(self, buffer: Tensor) -> list[Tensor]:
        """Return where members have their state: its entries in their own order, as the weights."""
        sizes = [x.sizes[0] for x in self.layouts]
        parts = zip(torch.split(buffer, self.each), sizes, strict=True)
        return [part.view(size) for part, size in parts]

    def _put(self, inputs: Inputs, kept: Sequence[Tensor], mask: Tensor | None) -> None:
        weights, *states = kept
        super()._put(inputs, [weights, *self._reordered(states, back=True)], mask)

    def _reordered(
        self, states: Sequence[Tensor], back: bool = False, which: Container[int] | None = None
    ) -> list[Tensor]:
        """Return states in the order of the batch, or back in that of members; of some numbers."""
        fields, moved = self.stepper.program.fields, self._transposes
        if moved is None:
            return [*states]
        own = [is_native(f) and (which is None or k in which) for k, f in enumerate(fields)]
        return [
            moved.copied(x, back) if is_own else x for x, is_own in zip(states, own, strict=True)
        ]

    def _rows(self, kernel: Kernel, told: dict[str, object]) -> Tensor:
        names = kernel.scalars.numbers
        return kernel_numbers.rows(names, told, self.total, self.clocks.device)

    def _note(self, name: str, batch: Tensor) -> None:
        """Note where the matrices of a batch are."""
        first, step = batch.data_ptr(), batch.stride(0) * batch.element_size()
        places = torch.arange(first, first + self.total * step, step, device="cpu")
        self.table.place(self._names.index(name), places)

    def _whole(self, value: Tensor) -> Tensor:
        """Return a value as one matrix after the other, in the dtype of the computation."""
        return value.to(self._step.computed).expand(self.total, *self.size).contiguous()


def why_not(member: Member) -> str:
    """Return why a parameter's step has no stages that native code could take; empty if it has."""
    stepper, layout, param = member.layout.stepper, member.part, local(member.param)
    assert layout is not None
    program = stepper.program
    kept = [stepper.kept_dtype(program.fields[k], param) for k in program.homes]
    if param.is_complex():
        return "as complex numbers are pairs"
    if any(dtype != stepper.dtype(param) for dtype in kept):
        return "as kept values are rounded"
    if not (param.is_contiguous() and is_seen_in_place(layout.view, layout.shape)):
        return "as matrices do not lie in memory one after the other"
    return why_whole(program)


def compiled(member: Member) -> tuple[Kernel, Kernel]:
    """Return the kernels of what comes before the matrix operations of a rule, and after them.

    Raises:
        OSError: if they cannot be compiled.
        NotScalarError: if there is an operation without native code.
    """
    param, stepper = member.param, member.layout.stepper
    parts = stages(stepper.program)
    assert param.grad is not None
    assert parts is not None
    computed, fields = stepper.dtype(param), stepper.program.fields
    states = [stepper.kept_dtype(fields[int(x[1:])], param) for x in parts.arrays[2:]]
    made = [computed] * (len(parts.fed) + len(parts.values))
    dtypes = (real(param).dtype, real(param.grad).dtype, *states, *made)
    feed, step = lines(stepper.program)
    device = param.device.type
    chances = rounding.chances(stepper, param)
    first = kernel(feed, dtypes, computed, device)
    return first, kernel(step, dtypes, computed, device, chances)


def _takes_polar(
    parts: Stages, size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> bool:
    """Let matrix operations call native polar factors; return whether they do at this size."""
    return polar.takes(size, dtype, device.type) and _takes(parts, polar.WAYS)


def _takes_products(parts: Stages, dtype: torch.dtype, device: torch.device) -> bool:
    """Let matrix operations call native products; return whether they do."""
    fits = dtype == torch.float32 and device.type == "cpu" and products.refusal() is None
    return fits and _takes(parts, products.WAYS)


def _takes(parts: Stages, ways: Mapping[str, Callable[..., Tensor]]) -> bool:
    """Put native functions in the places of kernels of these names; return whether there are any.

    They take what kernels take, and leave to them what is not theirs: other devices and dtypes.
    """
    known = parts.value.__globals__
    mine = {name: way for name, way in ways.items() if name in known}
    known.update(mine)
    return bool(mine)


@lru_cache(maxsize=256)
def lines(program: Program) -> tuple[Scalars, Scalars]:
    """Return what both entry-wise parts do to an entry, of the same arrays in the same order.

    Raises:
        NotScalarError: if there is an operation without native code.
    """
    parts = stages(program)
    assert parts is not None
    arrays = (*parts.arrays, *parts.fed, *parts.values)
    first, last = len(parts.arrays), len(parts.arrays) + len(parts.fed)

    def feed(*given: Tensor, **told: Tensor) -> Sequence[Tensor]:
        return parts.feed(*given[:first], **told)

    def entries(*given: Tensor, **told: Tensor) -> Sequence[Tensor]:
        return parts.entries(*given[:first], *given[last:], **told)

    numbers, all_numbers = parts.numbers, (*parts.numbers, *parts.scalars)
    before = traced(feed, arrays, parts.fed, numbers)
    return before, traced(entries, arrays, parts.changed, all_numbers)
