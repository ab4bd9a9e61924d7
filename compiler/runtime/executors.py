"""Executors: how a bucket steps, by native code or by torch's operations, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from normdsl.compiler.native.kernels import refusal
from normdsl.compiler.native.scalars import NotScalarError
from normdsl.compiler.runtime import staged
from normdsl.compiler.runtime.buckets import Bucket, Member
from normdsl.compiler.runtime.chunks import Chunks
from normdsl.compiler.runtime.entries import Entries
from normdsl.compiler.runtime.fused import Fused, compiled
from normdsl.compiler.runtime.matrices import Matrices
from normdsl.compiler.runtime.staged import Staged, is_staged
from normdsl.errors import HyperparameterError

#: From so many entries on, native code pays for its compilation within a few dozen steps.
MANY = 2**18


def bucket(sort: type[Bucket], members: Sequence[Member], maximize: bool, uniform: bool) -> Bucket:
    """Return a bucket of a sort, with the executor of its members.

    Args:
        sort: `Entries`, `Matrices` or `Loose`. members: its parameters.
        maximize: whether gradients are negated. uniform: whether they always step together.

    Raises:
        HyperparameterError: if native code is asked for and there can be none.
    """
    if sort is Entries:
        why = _why_not_fused(members)
        return Chunks(members, maximize, uniform, why) if why else Fused(members, maximize, uniform)
    if sort is Matrices and uniform and _can_be_staged(members):
        return Staged(members, maximize, uniform)
    return sort(members, maximize, uniform)


def _why_not_fused(members: Sequence[Member]) -> str:
    """Return why parameters of an entry-wise rule do not step by native code; empty if they do."""
    program = members[0].layout.stepper.program
    asked = program.schedule.compile
    if asked is False:
        return "as compile=False asks"
    if members[0].layout.stepper.rounds:
        return "as states are rounded by chance"
    count = _count(members)
    if asked is None and count < MANY:
        return f"as {count:,} entries are few"
    why = refusal(members[0].param.device.type) or _failure(lambda: compiled(members[0]))
    if asked and why:
        raise HyperparameterError(
            f"compile {program.declaration.name}",
            why=why,
            hint="install a C++ compiler or triton, or leave out compile=True",
        )
    return why


def _failure(compile: Callable[[], object]) -> str:
    """Return why native code cannot be compiled; empty if it was."""
    try:
        compile()
    except (NotScalarError, OSError) as error:
        return str(error).splitlines()[0]
    return ""


def _can_be_staged(members: Sequence[Member]) -> bool:
    """Return whether the entry-wise parts of a matrix rule are native code."""
    first = members[0]
    program = first.layout.stepper.program
    if program.schedule.compile is not None or _count(members) < MANY:
        return False
    if first.layout.stepper.rounds:
        return False
    if refusal(first.param.device.type) or not all(map(is_staged, members)):
        return False
    return not _failure(lambda: staged.compiled(first))


def _count(members: Sequence[Member]) -> int:
    return sum(m.param.numel() for m in members)
