"""Chunks: entry-wise rules without native code, all parameters as one vector, part by part.

A chunk is small enough for its temporary values to stay in the cache, so that weights, gradients
and states are read from memory and written to it once. Small parameters are copied into a chunk
together; a large one is taken where it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import trace
from normdsl.compiler.buckets.entries import Entries, laid_out
from normdsl.compiler.kernels.rounding import rounded_by_chance
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.layout import real
from normdsl.compiler.layouts.shards import local

#: Entries of a chunk.
CHUNK = 2**17


class Chunk(NamedTuple):
    """A part of a bucket: whole members, or a part of a single one.

    Args:
        first: number of its first member. last: after its last one.
        start: where it starts in the bucket. stop: where it ends.
        part: of a part of a member, which one.
    """

    first: int
    last: int
    start: int
    stop: int
    part: int | None = None


class Chunks(Entries):
    """Parameters of an entry-wise rule, by torch's own operations."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool, why: str) -> None:
        self._why = why
        # Large ones first, so that all small ones stand together.
        members = sorted(members, key=_is_large, reverse=True)
        super().__init__(members, maximize, uniform)
        self.chunks = list(self._chunks())
        first, device = members[0], self.clocks.device
        packed = [c.stop - c.start for c in self.chunks if c.part is None]
        most, own = max(packed, default=0), real(first.param).dtype
        # Weights as they are, so that those that stay do so bit by bit.
        self._work = (
            torch.empty(most, dtype=own, device=device),
            torch.empty(most, dtype=self.stepper.dtype(first.param), device=device),
        )
        self._places = [self._placed(c) for c in self.chunks]
        self._slices = [
            [x[c.start : c.stop].reshape(1, 1, -1) for x in self.states] for c in self.chunks
        ]

    @cached_property
    def _owners(self) -> dict[int, Tensor]:
        """For each chunk of whole members, the number of the member that has an entry."""
        device = self.clocks.device
        return {
            k: torch.repeat_interleave(
                torch.arange(c.first, c.last, device=device),
                torch.tensor(self.counts[c.first : c.last], device=device),
                output_size=c.stop - c.start,
            )
            for k, c in enumerate(self.chunks)
            if c.part is None
        }

    def _chunks(self) -> Iterator[Chunk]:
        """Yield chunks: of small members several together, of large ones parts."""
        first = start = place = 0
        for k, (member, length) in enumerate(zip(self.members, self.counts, strict=True)):
            large = _is_large(member)
            if place > start and (large or place + length > start + CHUNK):
                yield Chunk(first, k, start, place)
                first, start = k, place
            place += length
            if large:
                for part, a in enumerate(range(start, place, CHUNK)):
                    yield Chunk(k, k + 1, a, min(a + CHUNK, place), part)
                first, start = k + 1, place
        if place > start:
            yield Chunk(first, len(self.params), start, place)

    def _placed(self, chunk: Chunk) -> list[list[Tensor]]:
        """Return the places of the members of a chunk in the memory it is gathered in."""
        if chunk.part is not None:
            return []
        lengths, members = self.counts[chunk.first : chunk.last], self.members[chunk.first :]
        return [
            [
                laid_out(part, m)
                for m, part in zip(
                    members, torch.split(work[: sum(lengths)], lengths), strict=False
                )
            ]
            for work in self._work
        ]

    def told(self) -> str:
        return f"in {len(self.chunks)} chunks by torch's operations, {self._why}{self._where}"

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        return self._taken(context) if ok is None else self._taken_by(context, ok)

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        bad = self._none()
        for k, inputs in self._inputs(context):
            self._note(bad, k, self._made(k, inputs))
        return bad == 0

    def _taken(self, context: Context) -> Tensor:
        """Take the step; return whether all that is new is finite, in several parts."""
        sizes = []
        for k, inputs in self._inputs(context):
            values = self._made(k, inputs)
            sizes += [trace(x) for x in values]
            self._put(k, inputs, values)
        return torch.isfinite(torch.stack(sizes)) if sizes else self._none() == 0

    def _taken_by(self, context: Context, ok: Tensor) -> Tensor:
        """Take the step of some members; return whether all that is new is finite, for each.

        Of members that are taken in parts it is known only once all parts are computed.
        """
        bad = self._none()
        for k, inputs in self._inputs(context, lambda chunk: chunk.part is not None):
            self._note(bad, k, self._made(k, inputs))
        for k, inputs in self._inputs(context):
            values, chunk = self._made(k, inputs), self.chunks[k]
            if chunk.part is None:
                self._note(bad, k, values)
            mask = (ok & (bad == 0))[self._owners[k] if chunk.part is None else chunk.first]
            olds = (inputs.weights, *inputs.states)
            pairs = zip(values, olds, strict=True)
            self._put(k, inputs, [torch.where(mask, new, old) for new, old in pairs])
        return bad == 0

    def _none(self) -> Tensor:
        return torch.zeros(len(self.members), dtype=torch.int64, device=self.clocks.device)

    def _note(self, bad: Tensor, k: int, values: Sequence[Tensor]) -> None:
        """Count for each member of a chunk the entries of which anything new is not finite."""
        finite = torch.stack([torch.isfinite(x).flatten() for x in values]).all(0)
        if self.chunks[k].part is not None:
            bad[self.chunks[k].first] += (~finite).sum()
        else:
            bad.index_add_(0, self._owners[k], (~finite).long())

    def _put(self, k: int, inputs: Inputs, values: Sequence[Tensor]) -> None:
        """Write what is new."""
        for old, new in zip((inputs.weights, *inputs.states), values, strict=True):
            old.copy_(new)
        chunk = self.chunks[k]
        if chunk.part is None:
            torch._foreach_copy_(self.weights(chunk.first, chunk.last), self._places[k][0])

    def _made(self, k: int, inputs: Inputs) -> list[Tensor]:
        """Return what a chunk becomes, in the dtypes in which it is kept."""
        return self._values(self.chunks[k], inputs, *running.step(self.stepper, inputs))

    def _values(
        self, chunk: Chunk, inputs: Inputs, weights: Tensor, states: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return what is new, in the dtypes in which it is kept."""
        kept = [weights.to(real(self.params[0]).dtype)]
        if not self.stepper.rounds:
            pairs = zip(states, inputs.states, strict=True)
            return kept + [new.to(old.dtype) for new, old in pairs]
        span = self._noise(chunk)
        bits = [rounding.drawn(k, *span) for k in range((len(states) + 3) // 4)]
        for k, (new, old) in enumerate(zip(states, inputs.states, strict=True)):
            chance = old.dtype == torch.bfloat16
            noise = bits[k // 4] >> 16 * (k % 4)
            kept.append(rounded_by_chance(new, noise) if chance else new.to(old.dtype))
        return kept

    @cached_property
    def _spans(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each member the start of its random numbers, its entries, and its first one."""
        device, firsts = self.clocks.device, [0, *itertools.accumulate(self.counts)][:-1]
        origins = [m.origin for m in self.members if m.origin is not None]
        return (
            torch.stack(origins),
            torch.tensor(self.counts, device=device),
            torch.tensor(firsts, device=device),
        )

    def _noise(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """Return the stream of each entry of a chunk, and its number in its parameter."""
        which, count = slice(chunk.first, chunk.last), chunk.stop - chunk.start
        origins, counts, firsts = (x[which] for x in self._spans)
        streams = draws.stream(origins, self.clocks[which] + 1)
        places = torch.arange(chunk.start, chunk.stop, device=streams.device).reshape(1, 1, -1)
        if len(streams) == 1:
            return streams.reshape(1, 1, 1), self._numbered(chunk, places - firsts)
        own = torch.repeat_interleave(counts, output_size=count)
        return streams[own].reshape(1, 1, -1), self._numbered(chunk, places - firsts[own])

    def _numbered(self, chunk: Chunk, places: Tensor) -> Tensor:
        """Return the numbers of entries in their parameters, by those in what is here of them."""
        if self.mesh is None:
            return places
        members = range(chunk.first, chunk.last)
        sizes = [places.numel()] if chunk.part is not None else [self.counts[k] for k in members]
        parts = zip(members, torch.split(places, sizes, -1), strict=True)
        return torch.cat([self.numbers_of(k, x) for k, x in parts], -1)

    def _inputs(
        self, context: Context, which: Callable[[Chunk], bool] = lambda _: True
    ) -> Iterator[tuple[int, Inputs]]:
        """Yield chunks by number, all or some, with what they step from; good until the next."""
        (known,), t = context.numbers, self.t()
        parts: Sequence[Sequence[Tensor]] = ()
        for k, chunk in enumerate(self.chunks):
            if not which(chunk):
                continue
            first, last, work = chunk.first, chunk.last, self._places[k]
            own: Tensor | int = first
            if chunk.part is None:
                torch._foreach_copy_(work[0], self.weights(first, last))
                torch._foreach_copy_(work[1], self.grads(first, last))
                w, g = (x[: chunk.stop - chunk.start].view(1, 1, -1) for x in self._work)
                own = first if self.uniform else self._owners[k]
            else:
                if chunk.part == 0:
                    both = (*self.weights(first, last), *self.grads(first, last))
                    parts = [_cut(x, chunk.stop - chunk.start) for x in both]
                w, g = (x[chunk.part] for x in parts)
            numbers = known if self.uniform else {n: _of(x, own) for n, x in known.items()}
            yield (
                k,
                Inputs(
                    w,
                    self.slope(g),
                    self._slices[k],
                    t,
                    context.loss,
                    context.hyper,
                    numbers=numbers,
                ),
            )


def _is_large(member: Member) -> bool:
    """Return whether the entries of a parameter are taken where they are."""
    param = local(member.param)
    return param.numel() >= CHUNK and param.is_contiguous()


def _of(number: Any, own: Tensor | int) -> Any:
    """Return of numbers of each member those of the members that have some entries."""
    each = isinstance(number, Tensor) and number.ndim > 0
    return number[own].reshape(1, 1, -1) if each else number


def _cut(x: Tensor, size: int) -> Sequence[Tensor]:
    """Return the entries of a tensor chunk by chunk."""
    return torch.split(x.detach().reshape(1, 1, -1), size, -1)
