"""Owning: which process computes what needs a whole matrix that processes hold in parts."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from torch import Tensor

from normdsl.compiler.runtime.layout import OWNER
from normdsl.compiler.runtime.members import Member
from normdsl.compiler.runtime.shards import mesh_of, meshes_of
from normdsl.compiler.runtime.ways import setting_of
from normdsl.compiler.sharding.jobs import dealt, job
from normdsl.compiler.sharding.owners import Job


def owned(members: Sequence[Member]) -> list[Member]:
    """Return the members, those whose step processes share with an owner each.

    Who had one keeps it, as it has states that the others lack; who alone holds a matrix is it.
    """
    found: dict[Tensor, Sequence[int]] = {}
    for mesh in meshes_of(m.param for m in members if m.held):
        here = [m for m in members if m.held and mesh_of(m.param) == mesh]
        own = {m.param: _had(m) for m in here}
        jobs = [job for m in here for job in _jobs(m)]
        each = [owner for had in own.values() for owner in had]
        rest = iter(
            dealt(
                [job for job, owner in zip(jobs, each, strict=True) if owner is None],
                mesh.size(),
                [(job, x) for job, x in zip(jobs, each, strict=True) if x is not None],
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


def _had(member: Member) -> Sequence[int | None]:
    """Return the owners that the matrices of a parameter have already."""
    assert member.held is not None
    told = member.state.get(OWNER)
    return member.held.owners if told is None else told.reshape(-1).tolist()
