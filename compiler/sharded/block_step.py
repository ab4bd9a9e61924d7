"""A step of a block: what its two sides compute, round by round, and what they have so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.batches.inputs import Known
from normdsl.compiler.batches.members import Context
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts.compiled import compiled
from normdsl.compiler.lowering import refresh
from normdsl.compiler.sharded.blocks import Block
from normdsl.compiler.sharded.stores import Stores
from normdsl.compiler.sharding.division import Division, Part, Round
from normdsl.compiler.sharding.rounds import answer_name, asked, is_loss


class BlockStep:
    """A step, or a survey, of a block as far as it has come.

    Args:
        bucket: of the block. stores: its states, with the block. division: what is computed.
        context: what they step with. once: numbers of the step.
        known: scalars of all layers, with those of these matrices, and answers of the loss.
        weights: what this process has of the parameters of the bucket. slope: the gradients of the
            block, as a batch.
    """

    def __init__(
        self,
        bucket: Bucket,
        stores: Stores,
        division: Division,
        context: Context,
        once: Mapping[str, Any],
        known: Known,
        weights: Sequence[Tensor],
        slope: Tensor,
    ) -> None:
        block = stores.block
        self.bucket, self.block, self.division, self.once = bucket, block, division, once
        self.held, self.failed = stores.olds(), False
        self._told = self._given(context, known)
        self.weights = block.stacked(weights)
        if context.given is not None:
            slope = torch.where(block.of_members(context.given), slope, 0)
        self.held.shards |= {"W": self.weights, "G": bucket.slope(slope)}
        losses = {k for k, x in enumerate(asked(block.program)) if is_loss(x)}
        for k, x in enumerate(known["answers"]):
            (self._told if k in losses else self.held.shards)[answer_name(k)] = x

    def _given(self, context: Context, known: Known) -> dict[str, Any]:
        """Return what both sides are given beside numbers and arrays, for all members."""
        block, bucket, found = self.block, self.bucket, dict[str, Any]()
        device = block.param.device
        if context.loss is not None:
            loss = context.loss.to(device, block.dtype).reshape(1, 1, 1)
            found["loss"] = loss.expand(block.count, 1, 1)
        if block.program.layers:
            found["layers"], found["own"] = known["layers"], known["own"]
        for name, column in context.moments.items():
            each = torch.stack([column[slot.number] for slot in block.slots]).to(block.dtype)
            if context.given is not None:
                each = torch.where(block.of_members(context.given), each, 0)
            found[name] = each
        if block.program.draws:
            found["stream"] = block.of_members(bucket.streams())
        return found

    def compute(self, now: Round) -> None:
        """Compute what the two sides do in a round."""
        if now.shards is not None:
            self.held.shards |= self._called(now.shards, owner=False)
        if not self.block.owned:
            return
        if now.renew is not None:
            self._renew(now.renew)
        if now.owner is not None:
            self.held.owner |= self._tried(now.owner, slice(0, self.block.owned))

    def _renew(self, part: Part) -> None:
        """Compute kept values anew, of those matrices of the owner whose turn it is."""
        bucket, block, owner = self.bucket, self.block, self.held.owner
        homes = [owner[self.division.olds[k]] for k in self.division.homes]
        phase, due = _due(bucket, block)
        if due is None:
            owner |= dict(zip(self.division.kept, homes, strict=True))
            return
        new = self._tried(part, due, {str(block.program.phase): phase})
        for name, old in zip(self.division.kept, homes, strict=True):
            kept = [old[: due.start], new[name], old[due.stop :]]
            owner[name] = torch.cat(kept) if due != slice(0, block.owned) else new[name]

    def _tried(
        self, part: Part, rows: slice, more: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Return what an owner computes; where a factorisation fails, matrix by matrix, and NaN."""
        try:
            return self._called(part, owner=True, rows=rows, **(more or {}))
        except LinAlgError:
            if rows.stop - rows.start == 1:
                self.failed = True
                sizes = self.block.sizes(self.division, owner=True)
                like = self.block.like(0)
                return {x: like.new_full((1, *sizes[x]), torch.nan) for x in part.makes}
        each = [self._tried(part, slice(k, k + 1), more) for k in range(rows.start, rows.stop)]
        return {name: torch.cat([x[name] for x in each]) for name in part.makes}

    def _called(
        self, part: Part, owner: bool, rows: slice | None = None, **more: Any
    ) -> dict[str, Tensor]:
        """Call what one side computes, and return it by name."""
        block = self.block
        count = block.count if rows is None else rows.stop - rows.start
        if rows is None:
            which, like = slice(0, block.count), self.weights
        else:
            own = block.own.start
            which, like = slice(own + rows.start, own + rows.stop), block.like(count, block.there)
        given = {name: self._value(name, rows, which) for name in part.reads}
        given |= {name: _part(x, which) for name, x in self.once.items()}
        given |= {name: _part(x, which) for name, x in self._told.items()}
        if part.draws:
            given["places"] = block.places(which, owner)
        whole = block.program.schedule.compile
        function = compiled(part.function) if whole else part.function
        made = function(like, **given, **more)
        sizes, device = block.sizes(self.division, owner), like.device
        each = (torch.as_tensor(x, dtype=block.dtype, device=device) for x in made)
        return {
            name: x.expand(count, *sizes[name]) for name, x in zip(part.makes, each, strict=True)
        }

    def _value(self, name: str, rows: slice | None, which: slice) -> Tensor:
        """Return a value that a part reads: of its side, or a copy that all processes have."""
        if rows is None:
            return self.held.shards[name]
        if name in self.held.owner:
            return self.held.owner[name][rows]
        name = "W" if name == "W_whole" else name
        x = self.held.shards[name][which]
        return self.block.part(x, self.division.shapes[name], self.block.there)


def _part(x: Any, which: slice) -> Any:
    """Return what belongs to some of the matrices, of a number for each; others as they are."""
    if isinstance(x, tuple):
        return tuple(_part(y, which) for y in x)
    return x[which] if isinstance(x, Tensor) and x.ndim and len(x) > 1 else x


def _due(bucket: Bucket, block: Block) -> tuple[int, slice | None]:
    """Return what this step does with kept values, and for which matrices of an owner."""
    if bucket.fresh or not bucket.done:
        return refresh.FIRST, slice(0, block.owned)
    return refresh.COMPUTE, block.turns.get(bucket.stepper.place(-bucket.done))
