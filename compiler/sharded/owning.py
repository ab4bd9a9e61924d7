"""Owning: which process computes what needs a whole matrix that processes hold in parts."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from torch import Tensor

from normdsl.compiler.batches.members import Member
from normdsl.compiler.layouts.layout import OWNER
from normdsl.compiler.layouts.shards import mesh_of, meshes_of
from normdsl.compiler.layouts.ways import setting_of
from normdsl.compiler.sharding.jobs import dealt, job
from normdsl.compiler.sharding.owners import Job


def owned(members: Sequence[Member]) -> list[Member]:
    """Return the members, those whose step processes share with an owner each.

    Who was one stays it, as it has states that the others lack; who alone holds a matrix is one.
    """
    found: dict[Tensor, Sequence[int]] = {}
    for mesh in meshes_of(m.param for m in members if m.held):
        here = [m for m in members if m.held and mesh_of(m.param) == mesh]
        jobs = {m.param: _jobs(m) for m in here}
        own = {m.param: _had(m, jobs[m.param], mesh.size()) for m in here}
        pairs = [x for p, had in own.items() for x in zip(jobs[p], had, strict=True)]
        rest = iter(
            dealt(
                [job for job, owner in pairs if owner is None],
                mesh.size(),
                [(job, owner) for job, owner in pairs if owner is not None],
                [m.layout.stepper.program.schedule.owned for m in here],
            )
        )
        for param, had in own.items():
            found[param] = [next(rest) if owner is None else owner for owner in had]
    return [attrs.evolve(m, owners=tuple(found.get(m.param, ()))) for m in members]


def _jobs(member: Member) -> list[Job]:
    """Return what owning each matrix of a parameter takes."""
    held, layout = member.held, member.layout
    assert held is not None
    if member.steps_alone:
        return [Job(unit.matrix.size) for unit in held.units]
    settings = (setting_of(layout, member.param, held, unit) for unit in held.units)
    return [job(layout.stepper.program, setting) for setting in settings]


def _had(member: Member, jobs: Sequence[Job], processes: int) -> Sequence[int | None]:
    """Return the owners that the matrices of a parameter have already.

    None for a group that could own it under another schedule, and kept nothing.
    """
    assert member.held is not None
    told = member.state.get(OWNER)
    if told is None:
        return member.held.owners
    pairs = zip(told.reshape(-1).tolist(), jobs, strict=True)
    return [None if owner >= processes and job.group == 1 else owner for owner, job in pairs]
