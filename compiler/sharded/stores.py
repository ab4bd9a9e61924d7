"""Stores: where a process keeps the states of the matrices of a block.

States of parameters that are one matrix are rows of a batch, which a step reads and writes; others
lie apart, in memory of their parameters, and are stacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches import rounding
from normdsl.compiler.layouts.layout import is_native
from normdsl.compiler.lowering.fields import Field, lengths_of
from normdsl.compiler.sharded.blocks import Block, Held
from normdsl.compiler.sharded.homes import Place
from normdsl.compiler.sharded.stacks import Stack, lying, plain
from normdsl.compiler.sharding.boxes import whole as all_of
from normdsl.expressions.shapes import Shape


@attrs.frozen(eq=False)
class Store:
    """Where a process keeps a state of the matrices of a batch.

    Args:
        stack: of the matrices. parts: where each lies.
        whole: the batch itself, if these are its rows; None if they lie apart.
    """

    stack: Stack
    parts: Sequence[Tensor]
    whole: Tensor | None

    def batch(self, like: Tensor) -> Tensor:
        """Return the state of all matrices, to be read; see `Stack.batch`."""
        return self.stack.batch(self.parts, like) if self.whole is None else self.whole

    def write(self, new: Tensor, mask: Tensor | None = None) -> None:
        """Write the state, of those matrices alone for which a flag says so."""
        if self.whole is None:
            self.stack.write(self.parts, new, mask)
        else:
            kept = new if mask is None else torch.where(mask.reshape(-1, 1, 1), new, self.whole)
            self.whole.copy_(kept)


class Stores:
    """The states of a block.

    Args:
        block: the matrices.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self._stores: list[Store] = []
        self._wholes = [self._whole(*each) for each in self._kinds]

    @property
    def _kinds(self) -> Iterator[tuple[Field, torch.dtype, bool]]:
        """The states: the dtype in which each is kept, and whether owners have it."""
        for field, owned in zip(self.block.program.fields, self.block.division.owned, strict=True):
            yield field, self.block.stepper.kept_dtype(field, self.block.param), owned

    def _whole(self, field: Field, dtype: torch.dtype, owned: bool) -> Tensor | None:
        """Return memory for a state of all matrices, if each is all of its parameter."""
        stack, (lead, *_) = self._stack(field, owned), self.block.slots
        assert lead.member.held is not None
        if len(lead.member.held.units) > 1 or not stack.is_straight:
            return None
        return torch.empty((stack.count, *stack.size), dtype=dtype, device=self.block.param.device)

    def memory(self, k: int) -> Iterator[tuple[int, Tensor]]:
        """Yield memory for a state of parameters, by their numbers: the entries of each, if any.

        Args:
            k: which of the states.
        """
        whole = self._wholes[k]
        if whole is not None:
            slots = self.block.slots
            if self.block.division.owned[k]:
                slots = slots[self.block.own]
            for slot, row in zip(slots, whole.flatten(1).unbind(), strict=True):
                yield slot.number, row

    def settle(self, homes: Sequence[Sequence[Sequence[Place]]]) -> None:
        """Note where this process keeps the states.

        Args:
            homes: for each parameter and each state its part of each matrix.
        """
        for k, (field, _, owned) in enumerate(self._kinds):
            column = [homes[slot.number][k][slot.index] for slot in self.block.slots]
            parts = [x for x in column if x is not None and x.numel()]
            self._stores.append(Store(self._stack(field, owned), parts, self._wholes[k]))

    def _stack(self, field: Field, owned: bool) -> Stack:
        """Return how this process keeps a state of all matrices."""
        if not owned:
            size = self.block.lengths(Shape(*field.dims), self.block.here)
            return self.block.stack if is_native(field) else plain(self.block.count, size)
        size = self.block.lengths(Shape(*field.dims))
        matrix = self.block.slots[0].unit.matrix
        if is_native(field):
            return lying(self.block.owned, size, matrix, matrix.box)
        return plain(self.block.owned, size)

    def olds(self) -> Held:
        """Return the states before the step, where they are."""
        found = Held({}, {})
        each = zip(self.block.division.olds, self.block.division.owned, self._stores, strict=True)
        for name, owned, store in each:
            side = found.owner if owned else found.shards
            side[name] = store.batch(self.block.like(0)).to(self.block.dtype)
        return found

    def kept(self, held: Held, streams: Tensor | None) -> list[Tensor]:
        """Return the new states in the dtypes in which they are kept.

        Args:
            held: what this process has. streams: of random bits of each parameter, if they are
                rounded by chance.
        """
        found = []
        if streams is not None:
            streams = rounding.of_piece(streams[self.block.numbers], self._pieces).reshape(-1, 1, 1)
        each = zip(
            self.block.division.news, self._kinds, self.block.stepper.passed[1:], strict=True
        )
        for k, (name, (field, dtype, owned), passed) in enumerate(each):
            if owned and not self.block.owned:
                found.append(self._stores[k].batch(self.block.like(0)))
                continue
            which, side = (self.block.own, held.owner) if owned else (slice(None), held.shards)
            shape = Shape(*field.dims)
            full = lengths_of(shape, self.block.setting.shape)
            box = all_of(full) if owned else self.block.here.spans(shape, full)
            stream = None if streams is None else streams[which]
            told = k, side[name], dtype, stream, self._units[which]
            new = rounding.kept(*told, (box, full))
            found.append(new.clone() if passed else new)  # the old one of another may be passed on
        return found

    def write(self, news: Sequence[Tensor], mask: Tensor | None) -> None:
        """Write new states, of those matrices of the block alone for which a flag says so."""
        for x, store, owned in zip(news, self._stores, self.block.division.owned, strict=True):
            store.write(x, mask[self.block.own] if owned and mask is not None else mask)

    @cached_property
    def _units(self) -> Tensor:
        """Which of the matrices of its piece each is."""
        return torch.tensor(
            [x.unit.number for x in self.block.slots], device=self.block.param.device
        )

    @cached_property
    def _pieces(self) -> Tensor:
        """In which piece each is."""
        return torch.tensor(
            [x.unit.piece for x in self.block.slots], device=self.block.param.device
        )
