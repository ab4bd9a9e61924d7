"""Alone: matrices that lie whole on one of the processes that hold a parameter, and step there.

Nothing of them crosses. What is not of the parameter's shape is kept where the matrix is, as its
owner keeps it (see `blocks`); whether a factorisation fails, all learn before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.layouts.layout import OWNER, is_native
from normdsl.compiler.layouts.shards import (
    agreed,
    aligned_state,
    is_sharded,
    mesh_of,
    seen_as,
    whole,
)
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.lowering.plan import Plan
from normdsl.compiler.sharding.exchange import all_reduce
from normdsl.errors import FactorisationError

T = TypeVar("T")


def owners(member: Member) -> dict[str, Tensor]:
    """Return what says in a parameter's state who owns its matrices, if they are owned."""
    if not member.owners:
        return {}
    told = torch.tensor(member.owners, device=member.param.device)
    return {OWNER: told.reshape(member.layout.owned)}


def localised(member: Member) -> dict[str, Tensor]:
    """Return the state of a parameter as far as this process has it, of whatever it is told.

    All processes that hold it must ask, also those that have nothing.
    """
    found, layout = dict(member.state), member.layout
    for field in layout.fields:
        for key in layout.stored(field):
            old = found[key]
            if is_native(field):
                found[key] = aligned_state(old, member.param)
            elif is_sharded(old) or OWNER not in found:
                count, m, n = layout.sizes[0]
                every = whole(old).reshape(count, *field.lengths((m, n)))
                found[key] = every[member.numbers]
    return found


def placed(member: Member, field: Field, old: Tensor, home: Tensor) -> Tensor:
    """Put what this process has of a state where it is kept, and return how users see it.

    Args:
        member: the parameter. field: the state. old: as it was. home: memory for it.
    """
    home.copy_(old.reshape(home.shape))
    if not (member.steps_alone and is_native(field)):
        return home
    found: Tensor = seen_as(home, member.param)
    return found


def everywhere(members: Sequence[Member]) -> Callable[[Tensor], Tensor] | None:
    """Return what gathers a number of each matrix of some parameters from all processes.

    Args:
        members: the parameters, held alike; None is returned if they are not held together.
    """
    first, held = members[0], members[0].held
    if held is None or not first.steps_alone:
        return None
    mesh, numbers = mesh_of(first.param), first.numbers
    axes = [k for k, cut in enumerate(held.cuts) if cut.axis is not None]

    def gathered(each: Tensor) -> Tensor:
        found = each.new_zeros((len(members), len(held.units)))
        found[:, numbers] = each.reshape(len(members), -1)
        all_reduce([found], mesh, axes, False, found.dtype)()
        return found.reshape(-1, 1, 1)

    return gathered


def where(member: Member) -> str:
    """Return where matrices are that step alone, for people."""
    if not member.steps_alone:
        return ""
    count = member.param.device_mesh.size()  # type: ignore[attr-defined]
    return f", on each of {count} processes those that it has whole; nothing crosses"


def together(mesh: Any, program: Plan, context: Context, step: Callable[[], T]) -> T:
    """Return what a step makes; if a factorisation fails on one process, refuse it on all.

    Args:
        mesh: the processes; None for this one. program: the rule. context: what it steps with.
        step: makes it, and writes nothing.

    Raises:
        FactorisationError: on all processes.
    """
    may_fail = bool(program.renewed) or not program.reuse
    if mesh is None or context.given is not None or not may_fail:
        return step()
    found, failed = list[T](), None
    try:
        found.append(step())
    except FactorisationError as error:
        failed = error
    if bool(agreed(torch.tensor(failed is None, device="cpu"), [mesh])):
        return found[0]
    raise failed or FactorisationError(
        f"take a step of {program.declaration.name}",
        why="a factorisation failed on another process",
        hint="look for overflow in the weights or states: lower the learning rate",
    )
