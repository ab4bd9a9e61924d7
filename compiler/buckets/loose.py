"""Parameters that step alone: of matrices of several sizes, or subclasses of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding, running
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import finite
from normdsl.compiler.buckets.alone import everywhere, owners, placed, together, where
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.layout import COUNTS, Layout, real
from normdsl.compiler.layouts.shards import local
from normdsl.compiler.lowering.fields import Field
from normdsl.errors import FactorisationError


class Loose(Bucket):
    """One parameter that cannot be part of a batch: of several sizes, or a tensor subclass."""

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        (member,) = members
        for field, dtype in zip(self._layout.fields, self._buffers(member), strict=True):
            for key in self._layout.stored(field):
                self.views[0][key] = self._home(member, field, key, dtype)
        self.views[0].update(owners(member))

    @property
    def _layout(self) -> Layout:
        """How what this process has of the parameter steps."""
        part = self.members[0].part
        assert part is not None, "it has something"
        return part

    @property
    def pieces(self) -> int:
        """How many batches it is: one for each size of its matrices."""
        return len(self._layout.sizes)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return [(rows, cols) for _, rows, cols in self._layout.sizes]

    def t(self) -> Tensor:
        return self.clocks[0] + 1

    def told(self) -> str:
        made = "alone, its matrices in batches of one size, made anew at each step"
        return f"{made}{where(self.members[0])}"

    def inputs(self, context: Context) -> list[Inputs]:
        """Return a batch for each of its pieces."""
        (member,) = self.members
        layout, param = self._layout, self._weight()
        grad, given, states_ = self._grad(), None, self._states()
        if context.given is not None:
            given = context.given.reshape(1, 1, 1)
            grad = torch.where(context.given[0], grad, 0)
        fields = self.stepper.program.fields
        states = [layout.read(states_, field) for field in fields]
        moments = {k: torch.stack([*column]) for k, column in context.moments.items()}
        drawn: dict[str, Any] = {}
        if member.origin is not None:
            drawn["stream"] = draws.stream(member.origin, self.clocks[0] + 1).reshape(1, 1, 1)
        draws_ = self.stepper.program.draws
        places = draws.places(layout, param.device) if draws_ else [None for _ in layout.sizes]
        weights, grads = layout.view.pieces(param), layout.view.pieces(grad)
        return [
            Inputs(
                w,
                g,
                [pieces[k] for pieces in states],
                self.t(),
                context.loss,
                context.hyper,
                moments
                if given is None
                else {n: torch.where(given, x, 0) for n, x in moments.items()},
                self.turn[0],
                given,
                places=places[k],
                numbers=context.numbers[k],
                everywhere=everywhere(self.members),
                **{k: x.expand(w.shape[0], 1, 1) for k, x in drawn.items()},
            )
            for k, (w, g) in enumerate(zip(weights, grads, strict=True))
        ]

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        weight, states = self._made(context, known)
        good = self._good(weight, states)
        mask = None if ok is None else (ok & good)[0]
        param = self.members[0].param
        new = torch.view_as_complex(weight.contiguous()) if param.is_complex() else weight
        self._put(param, new, mask)
        for key, x in states.items():
            self._put(self.views[0][key], x, mask)
        return good

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        return self._good(*self._made(context, known))

    def _made(self, context: Context, known: Sequence[Known]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new value and the new states, as they are kept."""
        (member,) = self.members
        layout, dtype = self._layout, member.param.dtype.to_real()
        batches = self.inputs(context)
        pieces = list(zip(batches, known, strict=True))

        def step() -> list[tuple[Tensor, list[Tensor]]]:
            return [running.step(self.stepper, inputs, told) for inputs, told in pieces]

        try:
            new = together(self.mesh if member.held else None, self.stepper.program, context, step)
        except FactorisationError:
            if context.given is None:
                raise
            return torch.full_like(self._weight(), torch.nan), {
                k: x for k, x in self._states().items() if k not in COUNTS
            }
        weight = layout.view.join([w for w, _ in new], layout.shape).to(dtype)
        states: dict[str, Tensor] = {}
        for k, field in enumerate(layout.fields):
            kept = self.stepper.kept_dtype(field, member.param)
            rounded = [
                rounding.kept(
                    k, after[k], kept, self._noise(inputs, piece), self._numbers(after[k])
                )
                for piece, (inputs, (_, after)) in enumerate(zip(batches, new, strict=True))
            ]
            states.update(layout.write(field, rounded))
        return weight, states

    def _noise(self, inputs: Inputs, piece: int) -> Tensor | None:
        """Return the stream by which the states of a piece are rounded, if it is by chance."""
        if not self.stepper.rounds or inputs.stream is None:
            return None
        return rounding.of_piece(inputs.stream, torch.full_like(inputs.stream, piece))

    def _numbers(self, x: Tensor) -> Tensor:
        """Return which of the matrices of a piece some are."""
        numbers = self.members[0].numbers if self.members[0].held else range(len(x))
        return torch.tensor(numbers, device=x.device)

    def _weight(self) -> Tensor:
        """Return the parameter over the real numbers."""
        return real(self.weights()[0])

    def _grad(self) -> Tensor:
        """Return the gradient of what is minimised, over the real numbers."""
        return real(self.slope(self.grads()[0]))

    def _states(self) -> Mapping[str, Tensor]:
        """Return the states, by their keys."""
        return {key: local(x) for key, x in self.views[0].items()}

    def _home(self, member: Member, field: Field, key: str, dtype: torch.dtype) -> Tensor:
        """Return a state in memory of its own."""
        if not member.steps_alone:
            return _home(real(member.param), member.state[key], dtype)
        size = self._layout.stored(field)[key]
        home = torch.empty(size, dtype=dtype, device=member.param.device)
        return placed(member, field, member.state[key], home)

    def _put(self, old: Tensor, new: Tensor, mask: Tensor | None) -> None:
        """Write what is new where it is kept, if a flag says so or there is none."""
        own = local(old)
        own.copy_(new if mask is None else torch.where(mask, new, own))

    def _good(self, weight: Tensor, states: Mapping[str, Tensor]) -> Tensor:
        return finite(weight, *states.values()).reshape(1)


def _home(param: Tensor, state: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a state in memory of its own, laid out as the parameter if it has its shape."""
    like = param if param.shape == state.shape else state.contiguous()
    return torch.empty_like(like, dtype=dtype, requires_grad=False).copy_(state)
