"""Divided: parameters that several processes hold together, whose step they share.

Where each value of the step is computed, and what crosses, is inferred from the rule (see
`compiler/sharding`): entries and sums where the parts are, what needs a whole matrix at its owner.
All parameters of a rule cross together, whatever their sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normdsl.compiler.batches import running
from normdsl.compiler.batches.inputs import Known, Shares
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import trace
from normdsl.compiler.buckets.alone import owners
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts.shards import seen_as
from normdsl.compiler.lowering.phases import Phase
from normdsl.compiler.sharded import telling
from normdsl.compiler.sharded.block_step import BlockStep
from normdsl.compiler.sharded.blocks import Block, Held
from normdsl.compiler.sharded.crossing import any_of
from normdsl.compiler.sharded.forming import blocks
from normdsl.compiler.sharded.homes import Place, homes
from normdsl.compiler.sharded.journeys import Journey
from normdsl.compiler.sharded.slots import slots
from normdsl.compiler.sharded.stores import Stores
from normdsl.compiler.sharding.division import Division
from normdsl.compiler.sharding.rounds import is_placed
from normdsl.errors import FactorisationError
from normdsl.expressions.nodes import Across


class _New(NamedTuple):
    """What a block becomes: weights and states, as they are kept."""

    stores: Stores
    weights: Tensor
    states: Sequence[Tensor]


class Divided(Bucket):
    """Parameters on one mesh of processes, under a rule that is not entry-wise."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        numbered = list(enumerate(self.members))
        self.blocks = list(blocks([slot for k, m in numbered for slot in slots(k, m)]))
        dtypes = list(self._buffers(self.members[0]))
        fields = list(zip(self.stepper.program.fields, dtypes, strict=True))
        self._stores = list(map(Stores, self.blocks))
        memory = [dict(x for s in self._stores for x in s.memory(k)) for k in range(len(fields))]
        kept = list[list[list[Place]]]()
        for k, (views, member) in enumerate(zip(self.views, self.members, strict=True)):
            views.update(owners(member))
            kept.append([])
            for own, (field, dtype) in zip(memory, fields, strict=True):
                seen, parts = homes(member, field, dtype, own.get(k))
                views.update(seen)
                kept[k].append(parts)
        for stores in self._stores:
            stores.settle(kept)
        self._turns = {
            self.stepper.place(m.offset or 0): slice(0, len(self.members)) for m in self.members
        }
        self._failed = False
        self._journeys: dict[Across | Phase | None, Journey] = {}
        #: Gradients of each block at this step; None where an evaluation of the loss has others.
        self._slopes: list[Tensor] | None = None

    @property
    def convoys(self) -> int:
        """In how many convoys the members cross."""
        return self.blocks[-1].convoy + 1

    @property
    def pieces(self) -> int:
        """One: all blocks step together."""
        return 1

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the matrices of each block."""
        return [block.setting.shape for block in self.blocks]

    def told(self) -> str:
        """Return where what is computed, what crosses, and where states are, for people."""
        return telling.shared(self.blocks, self.convoys)

    def locate(self, places: Sequence[Tensor] | None = None) -> None:
        """Stack the gradients, which are looked at before the step is taken."""
        self._slopes = None if self.stepper.is_told else self._stacked()

    def _stacked(self) -> list[Tensor]:
        grads = self.grads()
        return [block.stacked(grads) for block in self.blocks]

    def sizes(self, name: str) -> Tensor:
        """Return numbers not below the largest magnitude; see `Bucket`."""
        if name == "W" or self._slopes is None:
            return super().sizes(name)
        return torch.stack([trace(x).sqrt() for x in self._slopes])

    def numbers(self, context: Context) -> list[dict[str, Any]]:
        """Return what is computed once for all entries of each block."""
        return [self._numbers(block, block.division, context) for block in self.blocks]

    def _numbers(self, block: Block, division: Division, context: Context) -> dict[str, Any]:
        t = self.clock()
        t = block.of_members(t) if isinstance(t, Tensor) else t
        like = block.like(1)
        found = running.numbers(self.stepper, like, t, context.hyper, division.numbers)
        return dict(running.as_taken(self.stepper, found, like.dtype))

    def inputs(self, context: Context) -> list[Any]:
        """Return what says how much they contribute to a scalar of all layers."""
        counted = None
        if context.given is not None:
            counted = torch.cat([block.of_members(context.given) for block in self.blocks])

        def survey(node: Across, known: Known) -> Tensor:
            found = self._run(context, known, node)
            return torch.cat(
                [held.shards[division.weights].reshape(-1, 1, 1) for division, held in found]
            )

        def places(k: int, known: Known) -> list[Tensor]:
            return self._pointed(context, known, k)

        count = sum(block.count for block in self.blocks)
        grads = self.grads()
        slopes = list(torch._foreach_neg(grads)) if self.maximize else grads
        if context.given is not None:
            slopes = [torch.where(m, x, 0) for m, x in zip(context.given, slopes, strict=True)]
        return [Shares(survey, places, counted, _vector(self.weights()), _vector(slopes), count)]

    def shaped(self, batches: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return what a vector of all that this process has is for each member."""
        (batch,) = batches
        if batch is None:
            return [None for _ in self.members]
        found = list[Tensor | None]()
        for x, p in zip(self._each(batch), self.params, strict=True):
            found.append(seen_as(torch.view_as_complex(x) if self._complex else x, p))
        return found

    def answered(self, known: Sequence[Known]) -> Tensor | bool:
        """Return for each member whether what the loss answered is finite, in its parts here."""
        fine = torch.ones(len(self.members), dtype=torch.bool, device=self.clocks.device)
        for x in known[0].get("answers", ()):
            parts = self._each(x) if x.ndim == 1 else [x for _ in self.members]
            fine &= torch.stack([y.isfinite().all() for y in parts])
        return fine

    def _each(self, vector: Tensor) -> list[Tensor]:
        """Return what a vector of all that this process has is for each member, in its shape."""
        own = self.weights()
        parts = torch.split(vector, [x.numel() for x in own])
        return [x.reshape(w.shape) for x, w in zip(parts, own, strict=True)]

    def _pointed(self, context: Context, known: Known, k: int) -> list[Tensor]:
        """Return where all is in an evaluation of the loss, then its directions, as vectors."""
        phase = self.stepper.program.phases[k]
        found = self._run(context, known, phase) if is_placed(phase) else []
        count = phase.moves + len(phase.directions)
        columns = [list(map(torch.empty_like, self.weights())) for _ in range(count)]
        for block, (division, held) in zip(self.blocks, found, strict=bool(found)):
            for column, name in zip(columns, (division.weights, *division.news), strict=True):
                block.stack.write(block.parts(column), held.shards[name].to(column[0].dtype))
        vectors = list(map(_vector, columns))
        return vectors if phase.moves else [_vector(self.weights()), *vectors]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        """Take the step, and return whether the result is finite; see `Bucket`.

        Raises:
            FactorisationError: on all processes, if one of an owner's fails.
        """
        made = self._made(context, known[0])
        self._slopes = None
        if ok is None:
            for new in made:
                self._put(new, None)
            every = [trace(x) for new in made for x in (new.weights, *new.states)]
            return torch.isfinite(torch.stack(every))
        good = self._good(made)
        for new in made:
            self._put(new, (ok & good)[new.stores.block.numbers])
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        """Return what `run` would, for each member; nothing is written."""
        return self._good(self._made(context, known[0]))

    def _made(self, context: Context, known: Known) -> list[_New]:
        """Return all that is new; where a factorisation fails and such steps are left out, NaN.

        Raises:
            FactorisationError: on all processes, if one of an owner's fails and none is left out.
        """
        found = [held for _, held in self._run(context, known)]
        if context.given is None and any(b.division.may_fail for b in self.blocks):
            failed, self._failed = any_of(self._failed, self.blocks[0]), False
            if failed:
                raise FactorisationError(
                    f"take a step of {self.stepper.program.declaration.name}",
                    why="a factorisation failed at the owner of a matrix",
                    hint="look for overflow in the weights or states: lower the learning rate",
                )
        streams = self.streams() if self.stepper.rounds else None
        pairs = zip(self._stores, found, strict=True)
        return [_New(s, s.block.weights(held), s.kept(held, streams)) for s, held in pairs]

    def _run(
        self, context: Context, known: Known, what: Across | Phase | None = None
    ) -> list[tuple[Division, Held]]:
        """Return what processes have after all rounds: of a step, a survey, or before a phase."""
        self._failed = False
        if what not in self._journeys:
            self._journeys[what] = Journey(self.blocks, what)
        journey = self._journeys[what]
        stages, first = list[BlockStep](), 0
        weights, slopes = self.weights(), self._slopes or self._stacked()
        for k, (stores, division) in enumerate(zip(self._stores, journey.divisions, strict=True)):
            block = stores.block
            once = context.numbers[k] if what is None else self._numbers(block, division, context)
            own = {"own": [x[first:][: block.count] if x.ndim else x for x in known.get("own", ())]}
            told = {**known, **{name: tuple(x) for name, x in own.items()}}
            told["answers"] = self._answers(block, first, known.get("answers", ()))
            parts = stores, division, context, once, told, weights, slopes[k]
            stages.append(BlockStep(self, *parts))
            first += block.count
        journey.go(stages)
        self._failed = any(x.failed for x in stages)
        return [(x.division, x.held) for x in stages]

    def _answers(self, block: Block, first: int, answers: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return what was answered for a block: of its matrices, or a loss for each."""
        own = slice(first, first + block.count)
        return tuple(block.stacked(self._each(x)) if x.ndim == 1 else x[own] for x in answers)

    def _good(self, made: Sequence[_New]) -> Tensor:
        """Return for each member whether what this process has of what it becomes is finite."""
        bad = torch.zeros(len(self.members), dtype=torch.int64, device=self.clocks.device)
        for stores, weights, states in made:
            block, good = stores.block, _finite(weights)
            for x, owned in zip(states, block.division.owned, strict=True):
                if not owned:
                    good &= _finite(x)
                elif block.owned:
                    good[block.own] &= _finite(x)
            bad.index_add_(0, block.numbers, (~good).long())
        return bad == 0

    def _put(self, new: _New, mask: Tensor | None) -> None:
        """Write what is new: weights and states of this process's parts, states that it owns."""
        block = new.stores.block
        block.stack.write(block.parts(self.weights()), new.weights, mask)
        new.stores.write(new.states, mask)


def _vector(parts: Sequence[Tensor]) -> Tensor:
    """Return the entries of tensors one after the other."""
    return torch.cat(list(map(torch.flatten, parts)))


def _finite(x: Tensor) -> Tensor:
    """Return for each matrix whether all entries are finite, of which there may be none."""
    return torch.isfinite(x).all(-1).all(-1)
