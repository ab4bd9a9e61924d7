"""Executors: how a bucket of an entry-wise rule steps, and why."""

from __future__ import annotations

from collections.abc import Sequence

from normdsl.compiler.native.kernels import refusal
from normdsl.compiler.native.scalars import NotScalarError, scalars
from normdsl.compiler.runtime.buckets import Member
from normdsl.compiler.runtime.chunks import Chunks
from normdsl.compiler.runtime.entries import Entries
from normdsl.compiler.runtime.fused import Fused
from normdsl.errors import HyperparameterError

#: From so many entries on, native code pays for its compilation within a few dozen steps.
MANY = 2**18


def entries(members: Sequence[Member], maximize: bool, uniform: bool) -> Entries:
    """Return a bucket of an entry-wise rule, which steps by native code or by torch's operations.

    Raises:
        HyperparameterError: if native code is asked for and there can be none.
    """
    why = why_not_native(members)
    if why:
        return Chunks(members, maximize, uniform, why)
    return Fused(members, maximize, uniform)


def why_not_native(members: Sequence[Member]) -> str:
    """Return why parameters of an entry-wise rule do not step by native code; empty if they do.

    Raises:
        HyperparameterError: if native code is asked for and there can be none.
    """
    program = members[0].layout.stepper.program
    asked = program.schedule.compile
    if asked is False:
        return "as compile=False asks"
    count = sum(m.param.numel() for m in members)
    if asked is None and count < MANY:
        return f"as {count:,} entries are few"
    why = refusal(members[0].param.device.type)
    try:
        scalars(program)
    except NotScalarError as error:
        why = why or str(error)
    if asked and why:
        raise HyperparameterError(
            f"compile {program.declaration.name}",
            why=why,
            hint="install a C++ compiler or triton, or leave out compile=True",
        )
    return why or ""
