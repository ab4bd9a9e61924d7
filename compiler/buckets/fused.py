"""Fused: entry-wise rules as native code, which reads and writes each tensor once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.batches import rounding
from normdsl.compiler.batches.inputs import Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.buckets import kernel_numbers
from normdsl.compiler.buckets.entries import Entries
from normdsl.compiler.layouts.layout import real
from normdsl.compiler.layouts.shards import local
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.kernels import kernel
from normdsl.compiler.native.scalars import scalars
from normdsl.compiler.native.table import Table, addresses


class Fused(Entries):
    """Parameters of an entry-wise rule, which one kernel takes where they are."""

    align = 64

    def __init__(self, members: Sequence[Member], maximize: bool, uniform: bool) -> None:
        super().__init__(members, maximize, uniform)
        self.kernel = compiled(members[0])
        arrays = len(self.kernel.scalars.arrays)
        self.table = Table(self.counts, arrays, self.kernel.block, self.clocks.device)
        for k, field in enumerate(self.stepper.program.fields):
            self.table.put(2 + k, [local(views[field.name]) for views in self.views])
        # Of this step's gradients those that had to be copied, which must outlive the kernel, as
        # their entries do not lie in memory as those of their weights do.
        self._copies: list[Tensor] = []
        pairs = zip(self.grads(), self.weights(), strict=True)
        self._copies_some = any(g.stride() != w.stride() for g, w in pairs)

    def told(self) -> str:
        took = f"which took {self.kernel.seconds:.1f} s"
        return f"by one kernel in {self.kernel.language}, {took}{self._where}"

    def run(self, context: Context, known: Sequence[Known], ok: Tensor | None) -> Tensor:
        if ok is None:
            return self._step(context, None)
        assert context.usual is not None
        assert self.seen is not None
        good = self._step(context, ok & ~context.usual, write=False)
        fine = self._step(context, ok & good)
        self.seen.masked_fill_(~fine, math.inf)  # they step no more
        return good & fine

    @property
    def is_native(self) -> bool:
        return True

    @property
    def decides(self) -> bool:
        return self.clocks.device.type != "cpu"

    def run_if(self, flag: Tensor, context: Context) -> Tensor:
        ok = flag.expand(len(self.members)).contiguous()
        return self._step(context, ok)

    def tried(self, context: Context, known: Sequence[Known]) -> Tensor:
        return self._step(context, None, write=False)

    def sizes(self, name: str) -> Tensor:
        return self.kernel.largest(self.table, "WG".index(name))

    def largest(self, name: str) -> Tensor:
        return self.table.largest(self.sizes(name))

    def see(self) -> None:
        self.seen = self.largest("W")

    def locate(self, places: Sequence[Tensor] | None = None) -> None:
        if places is None or self._copies_some:
            weights = self.weights()
            self._copies = list(map(_laid_out_as, self.grads(), weights))
            places = addresses(weights), addresses(self._copies)
        for array, now in enumerate(places):
            self.table.place(array, now)

    def _step(self, context: Context, ok: Tensor | None, write: bool = True) -> Tensor:
        """Let the kernel take the step of some members or all, written or not."""
        told, names = kernel_numbers.known(self, context), self.kernel.scalars.numbers
        numbers = kernel_numbers.rows(names, told, len(self.members), self.clocks.device)
        good = self.kernel.step(self.table, numbers, ok, write, self.keys())
        if write:
            self.note_written()
        return good


def _laid_out_as(grad: Tensor, weight: Tensor) -> Tensor:
    """Return a gradient whose entries lie in memory as those of the weights do."""
    if grad.stride() == weight.stride():
        return grad
    return torch.empty_like(weight, dtype=grad.dtype).copy_(grad)


def compiled(member: Member) -> Kernel:
    """Return the kernel of a parameter's rule, for its dtypes and its type of device.

    Raises:
        OSError: if it cannot be compiled.
        NotScalarError: if there is an operation without native code.
    """
    param, stepper = member.param, member.layout.stepper
    assert param.grad is not None
    line, computed = scalars(stepper.program), stepper.dtype(param)
    kept = [stepper.kept_dtype(field, param) for field in stepper.program.fields]
    dtypes = (real(param).dtype, real(param.grad).dtype, *kept)
    chances = rounding.chances(stepper, param)
    return kernel(line, dtypes, computed, param.device.type, chances)
