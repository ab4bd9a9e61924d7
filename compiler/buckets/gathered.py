"""Gathered: a parameter that several processes hold together, under a rule that must see it whole.

Weights, gradient and states of its shape are gathered, every process computes the same step, and
each writes its own part. Other states are whole on every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from normdsl.compiler.batches.members import Member
from normdsl.compiler.buckets.loose import Loose
from normdsl.compiler.layouts.layout import COUNTS, is_native, real
from normdsl.compiler.layouts.shards import aligned, local, placed, replicated, whole
from normdsl.compiler.layouts.ways import why_gathered
from normdsl.compiler.lowering.fields import Field


class Gathered(Loose):
    """One parameter that is a DTensor, under a rule that is not entry-wise."""

    @property
    def is_divided(self) -> bool:
        """False: every process sees all that is new."""
        return False

    def told(self) -> str:
        """Return how it steps, and why so, for people."""
        member = self.members[0]
        count = member.param.device_mesh.size()  # type: ignore[attr-defined]
        why = why_gathered(member.layout, member.param)
        return f"alone, gathered from {count} processes, each of which computes the step, {why}"

    def shaped(self, batches: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return what a batch has for the parameter, divided as that is."""
        param = self.params[0]
        if all(x is None for x in batches):
            return [None]
        layout = self.members[0].layout
        x = layout.view.join([x for x in batches if x is not None], layout.shape)
        return [placed(torch.view_as_complex(x.contiguous()) if self._complex else x, param)]

    @cached_property
    def _native(self) -> set[str]:
        """The keys of states that are divided among processes as the parameter is."""
        if self._complex:  # whose states are pairs of real numbers
            return set()
        return {field.name for field in self.members[0].layout.fields if is_native(field)}

    def _home(self, member: Member, field: Field, key: str, dtype: torch.dtype) -> Tensor:
        return as_kept(member, key, dtype, key in self._native)

    def _weight(self) -> Tensor:
        return real(whole(self.params[0]))

    def _grad(self) -> Tensor:
        grad = self.params[0].grad
        assert grad is not None
        return real(whole(self.slope(grad)))

    def _states(self) -> Mapping[str, Tensor]:
        return {key: x if key in COUNTS else whole(x) for key, x in self.views[0].items()}

    def _put(self, old: Tensor, new: Tensor, mask: Tensor | None) -> None:
        own, part = local(old), aligned(new, old)
        own.copy_(part if mask is None else torch.where(mask, part, own))


def as_kept(member: Member, key: str, dtype: torch.dtype, native: bool) -> Tensor:
    """Return a state in memory of its own: divided as the parameter is, or whole everywhere.

    A state that is a sum over processes, which cannot be saved, is summed.
    """
    state, param = member.state[key], member.param
    total = whole(state).to(dtype, copy=True)
    found: Tensor = placed(total, param) if native else replicated(total, param)
    return found
