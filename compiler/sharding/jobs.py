"""Jobs: what owning a matrix takes under a rule, and who is dealt it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import attrs
import torch

from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.sharding import owners
from normdsl.compiler.sharding.division import division, why_not_divided
from normdsl.compiler.sharding.owners import CapError, Job
from normdsl.compiler.sharding.setting import Setting
from normdsl.errors import DeclarationError


def job(program: Program, setting: Setting) -> Job:
    """Return what owning a matrix takes, and which group may, if it is large enough for one.

    Its bytes are those of whole values that come to its owner or leave it, and of states that are
    kept there; what is computed in between is not counted.

    Args:
        program: the rule. setting: the matrix, for an owner alone.
    """
    own = division(program, setting)
    moving = (v for x in own.rounds for v in (*x.gathered, *x.scattered, *x.spread))
    found = sum(math.prod(lengths_of(v.shape, setting.shape)) for v in moving) * setting.number
    for field, owned in zip(program.fields, own.owned, strict=True):
        if owned:
            name = program.schedule.kept_dtype(field.name, field.turns)
            number = getattr(torch, name).itemsize if name else setting.number
            found += math.prod(field.lengths(setting.shape)) * number
    cap = program.schedule.owned
    large = owners.work(setting.shape) >= owners.LARGE or (cap is not None and found > cap)
    return Job(setting.shape, found, _group(program, setting) if large else 1)


@lru_cache(maxsize=1024)
def _group(program: Program, setting: Setting) -> int:
    """Return how many processes can compute what an owner does together; 1 if it must be one."""
    size = owners.group_size(setting.processes, program.schedule.group)
    if size == 1 or not division(program, setting).owns:
        return 1
    return 1 if why_not_divided(program, attrs.evolve(setting, group=size)) else size


def dealt(
    new: Sequence[Job],
    processes: int,
    others: Iterable[tuple[Job, int]] = (),
    caps: Iterable[int | None] = (),
) -> list[int]:
    """Return an owner for each new matrix; see `owners.dealt`.

    Args:
        new: those that have none. processes: how many there are.
        others: those that have an owner, and which. caps: of their schedules, the least of which
            counts.

    Raises:
        DeclarationError: if a process would have more bytes than that.
    """
    cap = min((x for x in caps if x is not None), default=None)
    try:
        return owners.dealt(new, processes, others, cap)
    except CapError as error:
        raise DeclarationError(
            f"deal matrices to {processes} processes with owned={cap:,} bytes each",
            why=f"one of them would have {error.args[0]:,} bytes of those that it owns",
            hint="allow more, or divide matrices among more processes",
        ) from error
