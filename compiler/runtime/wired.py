"""Wired: a step with what the wire rounds, computed by one process that plays all that share it.

It has all parts and owns all matrices, so that sums over parts are there at once; what would cross
is rounded as it would be, where the cut puts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.sharding.division import (
    Division,
    Part,
    Round,
    division,
    surveyed,
    why_not_divided,
)
from normdsl.compiler.sharding.rounds import answer_name, asked, is_loss
from normdsl.compiler.sharding.setting import Setting, setting_of, wire_bytes
from normdsl.expressions.nodes import Across, WorkersMean


def wired(stepper: Stepper, processes: int, cut: str) -> Stepper:
    """Return what computes a step as processes that share it do, but for the order of sums.

    The same, if nothing would be rounded.

    Args:
        stepper: of the rule. processes: how many hold a matrix.
        cut: what is divided among them, as `rule.plan` takes it.
    """
    setting_of((1, 1), processes, cut)  # refuses other words
    if stepper.program.schedule.wire is None or stepper.entrywise:
        return stepper
    shared = _Shared(stepper.program, processes, cut)
    return attrs.evolve(
        stepper,
        program=attrs.evolve(stepper.program, numbers=shared.numbers),
        run=partial(shared.play, stepper.run),
        renew=partial(shared.play, stepper.renew),
        surveys=tuple(
            partial(shared.survey, function, node)
            for function, node in zip(stepper.surveys, stepper.program.joined, strict=True)
        ),
    )


@attrs.frozen(eq=False)
class _Shared:
    """The functions of a step that processes share.

    Args:
        program: the rule. processes: how many there are. cut: what is divided among them.
    """

    program: Program
    processes: int
    cut: str

    def setting(self, W: Tensor) -> Setting | None:
        """Return for which weights the step is divided; None if each process computes all."""
        size, schedule = (W.shape[-2], W.shape[-1]), self.program.schedule
        found = setting_of(size, self.processes, self.cut, schedule=schedule)
        number = W.element_size()
        found = attrs.evolve(found, number=number, wire=wire_bytes(schedule, number))
        return None if why_not_divided(self.program, found) else found

    def numbers(self, W: Tensor, **given: Any) -> dict[str, Any]:
        """Return what is computed once for all entries."""
        own = self.setting(W)
        step = self.program if own is None else division(self.program, own)
        return step.numbers(W, **given)

    def play(self, alone: Any, W: Tensor, G: Tensor, *given: Tensor, **told: Any) -> Sequence[Any]:
        """Return what a step makes, or what it keeps; by what one process calls if not divided."""
        own = self.setting(W)
        if own is None:
            return alone(W, G, *given, **told)  # type: ignore[no-any-return]
        step = division(self.program, own)
        return _Play(self.program, step, step, W, G, given, told).result()

    def survey(
        self,
        alone: Any,
        node: Across | WorkersMean,
        W: Tensor,
        G: Tensor,
        *given: Tensor,
        **told: Any,
    ) -> Sequence[Any]:
        """Return what a layer contributes to a scalar of all layers."""
        own = self.setting(W)
        if own is None or isinstance(node, WorkersMean):  # of a rule that is not divided
            return alone(W, G, *given, **told)  # type: ignore[no-any-return]
        step, rounds = division(self.program, own), surveyed(self.program, own, node)
        names = {"t", *(h.name for h in self.program.declaration.hyper)}
        rest = {name: x for name, x in told.items() if name not in names}
        numbers = rounds.numbers(W, **{name: told[name] for name in names})
        return _Play(self.program, step, rounds, W, G, given, {**rest, **numbers}).result()


class _Play:
    """A step, or a survey, in rounds.

    Args:
        program: the rule. step: says where states are. rounds: what is computed.
        W, G: weights and gradients. given: states, then kept values. told: all else, by name.
    """

    def __init__(
        self,
        program: Program,
        step: Division,
        rounds: Division,
        W: Tensor,
        G: Tensor,
        given: Sequence[Tensor],
        told: Mapping[str, Any],
    ) -> None:
        self.rounds, self.W = rounds, W
        self.phase = {name: x for name, x in told.items() if name == program.phase}
        rest = self.phase.keys() | {"answers"}
        self.told = {name: x for name, x in told.items() if name not in rest}
        self.shards: dict[str, Any] = {"W": W, "G": G}
        for k, (query, answer) in enumerate(
            zip(asked(program), told.get("answers", ()), strict=False)
        ):
            (self.told if is_loss(query) else self.shards)[answer_name(k)] = answer
        self.owner: dict[str, Any] = {}
        count = len(step.olds)
        for name, owned, x in zip(step.olds, step.owned, given[:count], strict=True):
            (self.owner if owned else self.shards)[name] = x
        self.kept = given[count:]
        wire = getattr(torch, program.schedule.wire or "", W.dtype)
        self.wire = wire if wire.itemsize < W.element_size() else W.dtype

    def result(self) -> list[Any]:
        """Return what is new; only kept values, if it is told a phase."""
        for now in self.rounds.rounds:
            if now.shards is not None:
                self.shards |= self._called(now.shards, self.shards)
            if now.renew is not None:
                if self.phase:
                    return list(self._called(now.renew, self._owners(), **self.phase).values())
                self.owner |= dict(zip(self.rounds.kept, self.kept, strict=True))
            if now.owner is not None:
                self.owner |= self._called(now.owner, self._owners())
            self._cross(now)
        states = zip(self.rounds.news, self.rounds.owned, strict=True)
        news = [(self.owner if owned else self.shards)[name] for name, owned in states]
        return [self.shards[self.rounds.weights], *news]

    def _owners(self) -> Mapping[str, Any]:
        """Return what the owner has, and all processes."""
        return {**self.shards, "W_whole": self.W, **self.owner}

    def _called(self, part: Part, held: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        given = {name: held[name] for name in part.reads}
        made = part.function(self.W, **given, **self.told, **more)
        return dict(zip(part.makes, made, strict=True))

    def _cross(self, now: Round) -> None:
        """Let values get to the other side."""
        for value in now.gathered:
            self.owner[value.arrives] = self._sent(self.shards[value.name], value.rounds)
        for value in (*now.scattered, *now.spread):
            self.shards[value.name] = self._sent(self.owner[value.name], value.rounds)

    def _sent(self, x: Any, rounds: bool) -> Any:
        if not rounds or not isinstance(x, Tensor):
            return x
        return x.to(self.wire).to(x.dtype)
