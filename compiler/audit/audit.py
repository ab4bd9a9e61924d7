"""The entry point: every probe on an optimizer that is not written in normdsl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.memory import SHAPES, SIZE, gradient_kept, storage, zero_gradient
from normdsl.compiler.audit.options import flipped
from normdsl.compiler.audit.precision import precision
from normdsl.compiler.audit.report import Audit
from normdsl.compiler.audit.resume import resume
from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.audit.scales import PROBE, gradient_scale
from normdsl.compiler.audit.streams import gradients, linear
from normdsl.compiler.audit.surroundings import unchanged
from normdsl.compiler.audit.symmetries import original, symmetry
from normdsl.compiler.invariance import groups

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
#: Too narrow for gradient scales: the smallest of them are zero in it.
NARROW = (torch.float16,)


def audit(
    factory: Callable[..., Any], *, name: str | None = None, steps: int = 8, seeds: int = 3
) -> Audit:
    """Run an optimizer through every group, gradient scale, dtype and memory check.

    Args:
        factory: a class, function, `functools.partial` or declaration that takes a list of
            parameters and returns a `torch.optim.Optimizer`. Its boolean options are flipped one at a
            time for the scale and memory probes.
        name: what to call it; default its own name.
        steps: length of the runs that compare reparametrisations.
        seeds: how many random problems they are run on, wide and tall in turn.

    Returns:
        The verdicts: a value that prints as a table, shows itself in a notebook and saves a picture.

    Raises:
        RefusedError: if the optimizer takes no ordinary step on matrices in any dtype.
    """
    with unchanged():
        subject, working = _ready(Subject(name or name_of(factory), factory))
        findings = _symmetries(subject, working, steps, seeds)
        untried: list[tuple[str, str]] = []
        for variant in (subject, *flipped(subject)):
            refusals = {dtype: _refusal(variant, dtype) for dtype in DTYPES}
            if variant is not subject and refusals[working] is not None:
                untried.append((variant.options, refusals[working] or ""))
                continue
            findings += _scales(variant, refusals, working)
            findings += _memory(variant, refusals, working)
    return Audit(subject.name, tuple(findings), tuple(untried))


def name_of(factory: Any) -> str:
    """Return what to call a factory: its path if it has one, the name of what a partial binds."""
    if hasattr(factory, "func"):
        bound = ", ".join(f"{k}={v!r}" for k, v in factory.keywords.items())
        return f"{name_of(factory.func)}({bound})" if bound else name_of(factory.func)
    return str(getattr(factory, "__name__", None) or getattr(factory, "name", type(factory).__name__))


def _ready(subject: Subject) -> tuple[Subject, torch.dtype]:
    """Return the subject, with a closure if it needs one, and the widest dtype it takes.

    Raises:
        RefusedError: if there is none.
    """
    refused: RefusedError | None = None
    for closure in (False, True):
        for dtype in DTYPES[:2]:
            candidate = attrs.evolve(subject, closure=closure)
            try:
                _try(candidate, dtype)
            except RefusedError as error:
                refused = refused or error
            else:
                return candidate, dtype
    assert refused is not None
    raise refused


def _try(subject: Subject, dtype: torch.dtype) -> None:
    starts: list[Tensor] = [torch.zeros(s, dtype=dtype) for s in SHAPES]
    subject.run(starts, linear(gradients(SHAPES, 0, SIZE)), 2)


def _refusal(subject: Subject, dtype: torch.dtype) -> str | None:
    """Return why an optimizer does not take a dtype; None if it does."""
    try:
        _try(subject, dtype)
    except RefusedError as error:
        return error.why
    return None


def _symmetries(subject: Subject, dtype: torch.dtype, steps: int, seeds: int) -> list[Finding]:
    try:
        shapes = [((6, 8), (8, 6))[k % 2] for k in range(seeds)]
        runs = [original(subject, dtype, s, steps, k) for k, s in enumerate(shapes)]
    except RefusedError as error:
        found = [_unsupported(g.name, Kind.SYMMETRY, subject, dtype, error.why) for g in groups.ALL]
        return found
    return [
        _attempt(g.name, Kind.SYMMETRY, subject, dtype, lambda g=g: symmetry(subject, g, runs, dtype))
        for g in groups.ALL
    ]


def _scales(
    subject: Subject, refusals: dict[torch.dtype, str | None], working: torch.dtype
) -> list[Finding]:
    """Return verdicts on gradient scales: every dtype for the defaults, one for other options."""
    usual = torch.float32 if refusals[torch.float32] is None else working
    dtypes = [d for d in DTYPES if d not in NARROW] if subject.options == "defaults" else [usual]
    return [
        _attempt(PROBE, Kind.SCALE, subject, d, lambda d=d: gradient_scale(subject, d, SHAPES[0]))
        for d in dtypes
        if refusals[d] is None
    ]


def _memory(
    subject: Subject, refusals: dict[torch.dtype, str | None], working: torch.dtype
) -> list[Finding]:
    found = []
    for dtype, refusal in refusals.items():
        if refusal is not None:
            found.append(_unsupported("dtype", Kind.MEMORY, subject, dtype, refusal))
            continue
        probes: dict[str, Callable[..., Finding]] = {
            "gradient_kept": gradient_kept,
            "storage": storage,
            "zero_gradient": zero_gradient,
            "resume": resume,
        }
        for name, probe in probes.items():
            found.append(
                _attempt(name, Kind.MEMORY, subject, dtype, lambda p=probe, d=dtype: p(subject, d))
            )
        if dtype is not working:
            found.append(
                _attempt(
                    "precision", Kind.MEMORY, subject, dtype,
                    lambda d=dtype: precision(subject, d, working),
                )
            )  # fmt: skip
    return found


def _attempt(
    probe: str, kind: Kind, subject: Subject, dtype: torch.dtype, run: Callable[[], Finding]
) -> Finding:
    """Return the finding of a probe, or that the optimizer refuses what it does."""
    try:
        return run()
    except RefusedError as error:
        return _unsupported(probe, kind, subject, dtype, error.why)


def _unsupported(probe: str, kind: Kind, subject: Subject, dtype: torch.dtype, why: str) -> Finding:
    return Finding(probe, kind, Status.UNSUPPORTED, subject.options, plain(dtype), why=why)
