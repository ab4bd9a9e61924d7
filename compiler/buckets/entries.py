"""Entry-wise rules: parameters of any shapes in one bucket, each state in one vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from normdsl.compiler.batches.inputs import Inputs
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.holding import share_of
from normdsl.compiler.layouts.layout import real
from normdsl.compiler.layouts.shards import aligned_state, is_sharded, local, seen_as
from normdsl.compiler.sharding.boxes import is_run


class Entries(Bucket):
    """Parameters of an entry-wise rule.

    The states of a parameter start at a multiple of `align` entries.
    """

    align = 1

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        self.counts = [real(local(p)).numel() for p in self.params]
        first, device = members[0], self.clocks.device
        padded = [-(-count // self.align) * self.align for count in self.counts]
        self.states = []
        fields = self.stepper.program.fields
        for field, dtype in zip(fields, self._buffers(first), strict=True):
            buffer = torch.zeros(sum(padded), dtype=dtype, device=device)
            self.states.append(buffer)
            parts = torch.split(buffer, padded)
            for views, member, part in zip(self.views, members, parts, strict=True):
                home, state = laid_out(part, member), member.state[field.name]
                if is_sharded(member.param):
                    home.copy_(aligned_state(state, member.param))
                    home = seen_as(home, member.param)
                else:
                    home.copy_(state)
                views[field.name] = home

    def numbers_of(self, k: int, entry: Tensor) -> Tensor:
        """Return the numbers in a parameter of entries that this process has, by theirs here."""
        return draws.number(_shape(self.params[k]), share_of(self.params[k]), entry)

    def keys(self) -> Tensor | None:
        """Return where draws start by which kernels round the states of members, if they do.

        What this process has of each follows one another in it; see `rounds_apart`.
        """
        found = super().keys()
        if found is None or self.mesh is None:
            return found
        return found + self._firsts[:, None]

    @cached_property
    def _firsts(self) -> Tensor:
        """The numbers in their parameters of the first entries that this process has."""
        first = torch.zeros((), dtype=torch.int64, device=self.clocks.device)
        return torch.stack([self.numbers_of(k, first) for k in range(len(self.params))])

    @property
    def _where(self) -> str:
        """What of sharded parameters a process steps, for people."""
        return (
            "" if self.mesh is None else f", on each of {self.mesh.size()} processes its own part"
        )

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return [(1, 1)]  # which entrywise rules do not read

    def inputs(self, context: Context) -> list[Inputs]:
        """Return nothing: what is combined over layers is of matrices."""
        return []


def rounds_apart(member: Member) -> bool:
    """Return whether states are rounded by chance, of entries not adjacent in their parameter."""
    param = member.param
    if not (member.layout.stepper.rounds and is_sharded(param)):
        return False
    return not is_run(share_of(param), _shape(param))


def _shape(param: Tensor) -> tuple[int, ...]:
    """Return the shape of a parameter over the real numbers."""
    return (*param.shape, 2) if param.is_complex() else tuple(param.shape)


def laid_out(part: Tensor, member: Member) -> Tensor:
    """Return memory for the entries of a parameter in its shape, in the order that it has them.

    Of a sharded parameter for those that this process holds, row by row where these are not dense.
    """
    param = real(local(member.param))
    if param.numel() < part.numel():  # padding comes last
        part = part[: param.numel()]
    if is_sharded(member.param) and not is_dense(param):
        return part.view(param.shape)
    return part.as_strided(param.shape, param.stride(), part.storage_offset())


def is_dense(x: Tensor) -> bool:
    """Return whether the entries of a tensor lie in memory without gaps."""
    return torch.empty_like(x, device="meta").stride() == x.stride()
