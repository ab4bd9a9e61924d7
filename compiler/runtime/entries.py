"""Entry-wise rules: parameters of any shapes in one bucket, each state in one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.runtime.buckets import Bucket
from normdsl.compiler.runtime.inputs import Inputs
from normdsl.compiler.runtime.layout import real
from normdsl.compiler.runtime.members import Context, Member


class Entries(Bucket):
    """Parameters of an entry-wise rule.

    The states of a parameter start at a multiple of `align` entries.
    """

    align = 1

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        self.counts = [real(p).numel() for p in self.params]
        first, device = members[0], self.clocks.device
        padded = [-(-count // self.align) * self.align for count in self.counts]
        self.states = []
        fields = self.stepper.program.fields
        for field, dtype in zip(fields, self._buffers(first), strict=True):
            buffer = torch.zeros(sum(padded), dtype=dtype, device=device)
            self.states.append(buffer)
            parts = torch.split(buffer, padded)
            for views, member, part in zip(self.views, members, parts, strict=True):
                views[field.name] = laid_out(part, member)
                views[field.name].copy_(member.state[field.name])

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return [(1, 1)]  # which entrywise rules do not read

    def inputs(self, context: Context) -> list[Inputs]:
        """Return nothing: what is combined over layers is of matrices."""
        return []


def laid_out(part: Tensor, member: Member) -> Tensor:
    """Return memory for the entries of a parameter in its shape, in the order that it has them."""
    param = real(member.param)
    return part.as_strided(param.shape, param.stride(), part.storage_offset())
