"""Entry-wise rules: parameters of any shapes in one bucket, each state in one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.runtime.buckets import Bucket
from normdsl.compiler.runtime.inputs import Inputs
from normdsl.compiler.runtime.layout import real
from normdsl.compiler.runtime.members import Context, Member
from normdsl.compiler.runtime.shards import aligned_state, is_sharded, local, seen_as


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
