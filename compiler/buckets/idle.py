"""Idle: parameters of which this process holds nothing, while others step their matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.buckets.alone import everywhere, owners, together, where
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts.layout import is_native, real
from normdsl.compiler.layouts.shards import local, seen_as


class Idle(Bucket):
    """Parameters on one mesh whose matrices lie whole on other processes.

    It counts steps, refuses those that others refuse, and has states without entries.
    """

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        for views, member in zip(self.views, members, strict=True):
            own = real(local(member.param))
            for field, dtype in zip(
                self.stepper.program.fields, self._buffers(member), strict=True
            ):
                if is_native(field):
                    x = torch.empty_like(own, dtype=dtype, requires_grad=False)
                    views[field.name] = seen_as(x, member.param)
                else:
                    kept = member.layout.kept(field, [0]).items()
                    views.update({key: own.new_empty(size, dtype=dtype) for key, size in kept})
            views.update(owners(member))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the matrices that others have."""
        _, rows, cols = self.members[0].layout.sizes[0]
        return [(rows, cols)]

    def told(self) -> str:
        """Return that others step them, for people."""
        return f"elsewhere{where(self.members[0])}"

    def inputs(self, context: Context) -> list[Inputs]:
        """Return a batch without a matrix."""
        one = torch.empty((0, *self.shapes[0]), dtype=self.stepper.dtype(self.params[0]))
        nothing = one.to(self.clocks.device)
        size = self.shapes[0]
        states = [nothing.new_empty((0, *f.lengths(size))) for f in self.stepper.program.fields]
        batch = Inputs(nothing, nothing, states, self.t(), context.loss, context.hyper)
        return [batch._replace(everywhere=everywhere(self.members))]

    def answered(self, known: Sequence[Known]) -> Tensor | bool:
        """Return that nothing here was answered that is not finite."""
        return True

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        """Return what `tried` does; there is nothing to write."""
        return self.tried(context, known)

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        """Return that nothing is not finite; that others fail is an error here as well."""
        count = len(self.members)
        fine = torch.ones(count, dtype=torch.bool, device=self.clocks.device)
        return together(self.mesh, self.stepper.program, context, lambda: fine)
