"""Executors: how a bucket steps, by native code or by torch's operations, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from normdsl.compiler.batches.members import Member
from normdsl.compiler.buckets import staged
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.buckets.chunks import Chunks
from normdsl.compiler.buckets.entries import Entries, is_dense, rounds_apart
from normdsl.compiler.buckets.fused import Fused, compiled
from normdsl.compiler.buckets.matrices import Matrices
from normdsl.compiler.buckets.staged import Staged
from normdsl.compiler.layouts.shards import is_sharded, local
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.native.kernels import refusal
from normdsl.compiler.native.scalars import NotScalarError
from normdsl.errors import HyperparameterError

#: From so many entries on, native code pays for its compilation within a few dozen steps.
MANY = 2**18


def bucket(
    sort: type[Bucket], members: Sequence[Member], maximize: bool, uniform: bool, entries: int
) -> Bucket:
    """Return a bucket of a sort, with the executor of its members.

    Args:
        sort: `Entries`, `Matrices` or `Loose`. members: its parameters.
        maximize: whether gradients are negated. uniform: whether they always step together.
        entries: of all parameters that the same native code would step.

    Raises:
        HyperparameterError: if native code is asked for and there can be none.
    """
    if sort is Entries:
        why = _why_not_fused(members, entries)
        return Chunks(members, maximize, uniform, why) if why else Fused(members, maximize, uniform)
    if sort is Matrices:
        why = _why_not_staged(members, entries)
        if not why:
            return Staged(members, maximize, uniform)
        return Matrices(members, maximize, uniform, why)
    return sort(members, maximize, uniform)


def _why_not_fused(members: Sequence[Member], entries: int) -> str:
    """Return why parameters of an entry-wise rule do not step by native code; empty if they do."""
    first = members[0]
    program = first.layout.stepper.program
    why = _why_not_worth(first.layout.stepper, entries) or _why_not_here(members)
    if why:
        return why
    why = refusal(first.param.device.type) or _failure(lambda: compiled(first))
    if why and program.schedule.compile:
        raise HyperparameterError(
            f"compile {program.declaration.name}",
            why=why,
            hint="install a C++ compiler or triton, or leave out compile=True",
        )
    return why


def _why_not_staged(members: Sequence[Member], entries: int) -> str:
    """Return why entry-wise parts of a matrix rule are not native code; empty if they are."""
    first = members[0]
    if first.layout.stepper.program.schedule.compile:
        return "as compile=True asks"
    why = _why_not_worth(members[0].layout.stepper, entries) or next(
        filter(None, map(staged.why_not, members)), ""
    )
    why = why or refusal(first.param.device.type) or ""
    return why or _failure(lambda: staged.compiled(first))


def _why_not_worth(stepper: Stepper, entries: int) -> str:
    """Return why a step is no native code wherever the parameters are; empty if it may be."""
    asked = stepper.program.schedule.compile
    if asked is False:
        return "as compile=False asks"
    return f"as {entries:,} entries are few" if asked is None and entries < MANY else ""


def _why_not_here(members: Sequence[Member]) -> str:
    """Return why native code cannot step what a process holds of sharded parameters."""
    parts = [local(m.param) for m in members if is_sharded(m.param)]
    if parts and not any(x.numel() for x in parts):
        return "as this process holds no entry of them"
    if any(map(rounds_apart, members)):
        return "as their entries are rounded by chance and not adjacent in their parameters"
    return "" if all(map(is_dense, parts)) else "as their entries do not lie together in memory"


def _failure(compile: Callable[[], object]) -> str:
    """Return why native code cannot be compiled; empty if it was."""
    try:
        compile()
    except (NotScalarError, OSError) as error:
        return str(error).splitlines()[0]
    return ""
