"""Divided: parameters that several processes hold together, whose step they share.

Where each value of the step is computed, and what crosses, is inferred from the rule (see
`compiler/sharding`): entries and sums where the parts are, what needs a whole matrix at its owner.
All parameters of a rule cross together, whatever their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.runtime import running
from normdsl.compiler.runtime.block_step import BlockStep
from normdsl.compiler.runtime.blocks import Block, Held, cuts_of, setting_of
from normdsl.compiler.runtime.buckets import Bucket
from normdsl.compiler.runtime.crossing import any_of, cross
from normdsl.compiler.runtime.inputs import Known, Shares
from normdsl.compiler.runtime.layout import OWNER
from normdsl.compiler.runtime.members import Context, Member
from normdsl.compiler.runtime.shards import local
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.division import Division, division, surveyed
from normdsl.compiler.sharding.traffic import plan
from normdsl.errors import FactorisationError
from normdsl.expressions.nodes import Across


class Divided(Bucket):
    """Parameters on one mesh of processes, under a rule that is not entry-wise."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        crossing = convoys([_load(m) for m in members])
        pairs = sorted(zip(crossing, members, strict=True), key=lambda x: (x[0], _kind(x[1])))
        super().__init__([m for _, m in pairs], maximize, uniform)
        self.blocks = list(_blocks(self.members, [k for k, _ in pairs]))
        device = self.params[0].device
        owners = torch.tensor([m.owner or 0 for m in self.members], device=device)
        for k, views in enumerate(self.views):
            views[OWNER] = owners[k]
            views.update(self._block(k).views[k - self._block(k).first])
        self._turns = {
            self.stepper.place(m.offset or 0): slice(0, len(self.members)) for m in self.members
        }
        self._failed = False

    def _block(self, k: int) -> Block:
        """Return the block of a member."""
        return next(b for b in reversed(self.blocks) if b.first <= k)

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
        plans = [plan(self.stepper.program, b.setting) for b in self.blocks]
        count, total = self.blocks[0].setting.processes, 0.0
        for block, own in zip(self.blocks, plans, strict=True):
            total += own.bytes * block.count
        owns = dict.fromkeys(x for own in plans for x in own.owner)
        at = f", {' and '.join(owns)} at the owner of each matrix" if owns else ""
        sent = dict.fromkeys(f"{x.what} ({x.way})" for own in plans for x in own.sent)
        kept = dict.fromkeys(f"{name} {where}" for own in plans for name, _, where in own.states)
        states = f"; states: {', '.join(kept)}" if kept else ""
        crosses = ", ".join(sent) or "nothing"
        apart = ""
        if self.convoys > 1:
            apart = f", in {self.convoys} convoys, each of which travels while others are computed"
        return (
            f"divided among {count} processes{at}; what crosses: {crosses}, {total:,.0f} bytes "
            f"that a process sends in a step{apart}{states}"
        )

    def numbers(self, context: Context) -> list[dict[str, Any]]:
        """Return what is computed once for all entries of each block."""
        return [self._numbers(block, block.division, context) for block in self.blocks]

    def _numbers(self, block: Block, division: Division, context: Context) -> dict[str, Any]:
        t = block.of_members(self.t())
        return running.numbers(self.stepper, block.like(1), t, context.hyper, division.numbers)

    def inputs(self, context: Context) -> list[Any]:
        """Return what says how much they contribute to a scalar of all layers."""
        counted = None if context.given is None else context.given.reshape(-1, 1, 1)

        def survey(node: Across, known: Known) -> Tensor:
            found = self._run(context, known, node)
            return torch.cat(
                [held.shards[division.weights].reshape(-1, 1, 1) for division, held in found]
            )

        return [Shares(survey, counted)]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        """Take the step, and return whether the result is finite, for each member; see `Bucket`.

        Raises:
            FactorisationError: on all processes, if one of an owner's fails.
        """
        made = self._made(context, known[0])
        good = self._good(made)
        for block, held in made:
            mask = None if ok is None else (ok & good)[block.first :][: block.count]
            self._put(block, held, mask)
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        """Return what `run` would, for each member; nothing is written."""
        return self._good(self._made(context, known[0]))

    def _made(self, context: Context, known: Known) -> list[tuple[Block, Held]]:
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
        return list(zip(self.blocks, found, strict=True))

    def _run(
        self, context: Context, known: Known, node: Across | None = None
    ) -> list[tuple[Division, Held]]:
        """Return what processes have after all rounds of a step, or of a survey."""
        self._failed = False
        stages = []
        for k, block in enumerate(self.blocks):
            division, once = block.division, context.numbers[k]
            if node is not None:
                division = surveyed(block.program, block.setting, node)
                once = self._numbers(block, division, context)
            stages.append(BlockStep(self, block, division, context, once, known))
        convoy = [[x for x in stages if x.block.convoy == k] for k in range(self.convoys)]
        under_way = [_journey(x) for x in convoy]
        while under_way:  # what one convoy sends travels while the others compute
            under_way = [x for x in under_way if next(x, _ARRIVED) is not _ARRIVED]
        self._failed = any(x.failed for x in stages)
        return [(x.division, x.held) for x in stages]

    def _good(self, made: Sequence[tuple[Block, Held]]) -> Tensor:
        """Return for each member whether what this process has of what it becomes is finite."""
        found = []
        for block, held in made:
            good = _finite(block.weights(held))
            for x, owned in zip(block.kept(held), block.division.owned, strict=True):
                if owned:
                    good[block.own] &= _finite(x)
                else:
                    good &= _finite(x)
            found.append(good)
        return torch.cat(found)

    def _put(self, block: Block, held: Held, mask: Tensor | None) -> None:
        """Write what is new: weights and states of this process's parts, states that it owns."""
        olds = [local(m.param) for m in block.members]
        news = [x.view(old.shape) for x, old in zip(block.weights(held), olds, strict=True)]
        if mask is not None:
            news = [torch.where(m, x, old) for m, x, old in zip(mask, news, olds, strict=True)]
        torch._foreach_copy_(olds, news)
        pairs = zip(block.kept(held), block.states, block.division.owned, strict=True)
        for new, old, owned in pairs:
            if mask is None:
                old.copy_(new)
            else:
                own = mask[block.own] if owned else mask
                old.copy_(torch.where(own.reshape(-1, 1, 1), new, old))


#: What a journey returns that is over.
_ARRIVED = object()


def _finite(x: Tensor) -> Tensor:
    """Return for each matrix whether all entries are finite, of which there may be none."""
    return torch.isfinite(x).all(-1).all(-1)


def _kind(member: Member) -> tuple[Any, ...]:
    """Return by what members of a bucket are ordered: blocks, owners, turns."""
    cuts = cuts_of(member.param) or ()
    told = tuple((cut.dim.value if cut.dim else "", cut.strided) for cut in cuts)
    turn = member.layout.stepper.place(member.offset or 0) if member.layout.stepper.keeps else 0
    return member.layout.sizes, told, member.param.ndim, member.layout.shape, member.owner, turn


def _load(member: Member) -> Load:
    """Return what of a member crosses."""
    program = member.layout.stepper.program
    setting = setting_of(member.layout, member.param)
    return Load(setting, member.owner or 0, division(program, setting).moves)


def _journey(stages: Sequence[BlockStep]) -> Iterator[None]:
    """Go through all rounds of a convoy; yield whenever something is on its way."""
    for k in range(max(len(x.division.rounds) for x in stages)):
        now = [x for x in stages if k < len(x.division.rounds)]
        for x in now:
            x.compute(x.division.rounds[k])
        yield from cross([(x.block, x.held, x.division.rounds[k]) for x in now])


def _blocks(members: Sequence[Member], convoy: Sequence[int]) -> Iterator[Block]:
    """Yield the blocks of members that are in order, each in one convoy."""
    keys = [(k, *_kind(m)[:4]) for k, m in zip(convoy, members, strict=True)]
    start = 0
    for k in range(1, len(members) + 1):
        if k == len(members) or keys[k] != keys[start]:
            yield Block(members[start:k], start, convoy[start])
            start = k
