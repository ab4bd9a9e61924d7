"""The entry point: every probe on an optimizer that is not written in normdsl."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.audit.conduct import (
    ascent,
    independent,
    no_gradient,
    order,
    surroundings,
    zero_grad,
)
from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.memory import SHAPES, SIZE, gradient_kept, storage, zero_gradient
from normdsl.compiler.audit.options import flipped
from normdsl.compiler.audit.precision import precision
from normdsl.compiler.audit.report import Audit
from normdsl.compiler.audit.resume import resume
from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.audit.scales import PROBE, gradient_scale
from normdsl.compiler.audit.settings import settings
from normdsl.compiler.audit.streams import gradients, linear
from normdsl.compiler.audit.surroundings import unchanged
from normdsl.compiler.audit.symmetries import blurred, original, symmetry
from normdsl.compiler.invariance import groups

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
#: Takes a subject and a dtype.
Probe = Callable[..., Finding]
MEMORY: dict[str, Probe] = {
    "gradient_kept": gradient_kept,
    "storage": storage,
    "zero_gradient": zero_gradient,
    "resume": resume,
}
CONDUCT: dict[str, Probe] = {
    "no_gradient": no_gradient,
    "settings": settings,
    "order": order,
    "independent": independent,
    "zero_grad": zero_grad,
    "surroundings": surroundings,
}
#: Too narrow for gradient scales: the smallest of them are zero in it.
NARROW = (torch.float16,)


def audit(
    factory: Callable[..., Any],
    *,
    name: str | None = None,
    shape: tuple[int, int] = (6, 8),
    steps: int = 8,
    seeds: int = 3,
) -> Audit:
    """Run an optimizer through every group, gradient scale, dtype, memory check and conduct.

    Args:
        factory: a class, function, `functools.partial` or declaration that takes a list of
            parameters and returns a `torch.optim.Optimizer`. Its boolean options are flipped one
            at a time for all but the reparametrisations.
        name: what to call it; default its own name.
        shape: of the weights in the runs that compare reparametrisations, every other one
            transposed. Square ones are taken where rounding decides a run on these, as when a
            gradient of rank m leaves an n×n eigenbasis undetermined.
        steps: length of these runs.
        seeds: how many random problems they are run on.

    Returns:
        The verdicts: a value that prints as tables, shows itself in a notebook, saves a picture.

    Raises:
        NormdslError: if the optimizer takes no ordinary step on matrices in any dtype.

    Example:
        >>> import normdsl as nd
        >>> found = nd.audit(nd.optimizer(lambda lr=0.1: nd.W - lr * nd.G), steps=2, seeds=1)
        >>> found["orthogonal"].answer
        'holds'
    """
    with unchanged():
        subject, working = _ready(Subject(name or name_of(factory), factory))
        findings = _symmetries(subject, working, shape, steps, seeds)
        untried: list[tuple[str, str]] = []
        for variant in (subject, *flipped(subject)):
            refusals = {dtype: _refusal(variant, dtype) for dtype in DTYPES}
            if variant is not subject and refusals[working] is not None:
                untried.append((variant.options, refusals[working] or ""))
                continue
            findings += _scales(variant, refusals, working)
            findings += _memory(variant, refusals, working)
            findings += _conduct(variant, subject, working)
    return Audit(subject.name, tuple(findings), tuple(untried))


def name_of(factory: Any) -> str:
    """Return what to call a factory: its path if it has one, the name of what a partial binds."""
    if hasattr(factory, "func"):
        bound = ", ".join(f"{k}={v!r}" for k, v in factory.keywords.items())
        return f"{name_of(factory.func)}({bound})" if bound else name_of(factory.func)
    return str(
        getattr(factory, "__name__", None) or getattr(factory, "name", type(factory).__name__)
    )


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


def _symmetries(
    subject: Subject, dtype: torch.dtype, shape: tuple[int, int], steps: int, seeds: int
) -> list[Finding]:
    side = min(shape)
    try:
        runs = [
            original(subject, dtype, (shape, shape[::-1])[k % 2], steps, k) for k in range(seeds)
        ]
        if blurred(runs):
            square = [original(subject, dtype, (side, side), steps, k) for k in range(seeds)]
            runs = runs if blurred(square) else square
    except RefusedError as error:
        why = error.why
        return [_unsupported(g.name, Kind.SYMMETRY, subject, dtype, why) for g in groups.ALL]
    return [
        _attempt(g.name, Kind.SYMMETRY, subject, dtype, partial(symmetry, group=g, runs=runs))
        for g in groups.ALL
    ]


def _scales(
    subject: Subject, refusals: dict[torch.dtype, str | None], working: torch.dtype
) -> list[Finding]:
    """Return verdicts on gradient scales: every dtype for the defaults, one for other options."""
    usual = torch.float32 if refusals[torch.float32] is None else working
    dtypes = [d for d in DTYPES if d not in NARROW] if subject.options == "defaults" else [usual]
    probe = partial(gradient_scale, shape=SHAPES[0])
    return [_attempt(PROBE, Kind.SCALE, subject, d, probe) for d in dtypes if refusals[d] is None]


def _memory(
    subject: Subject, refusals: dict[torch.dtype, str | None], working: torch.dtype
) -> list[Finding]:
    found = []
    for dtype, refusal in refusals.items():
        if refusal is not None:
            found.append(_unsupported("dtype", Kind.MEMORY, subject, dtype, refusal))
            continue
        probes = MEMORY | (
            {} if dtype is working else {"precision": partial(precision, reference=working)}
        )
        found += [_attempt(n, Kind.MEMORY, subject, dtype, p) for n, p in probes.items()]
    return found


def _conduct(variant: Subject, subject: Subject, working: torch.dtype) -> list[Finding]:
    """Return verdicts on conduct, in one dtype."""
    probes = dict(CONDUCT)
    if variant.options.startswith("maximize="):
        probes["maximize"] = partial(ascent, base=subject)
    return [_attempt(n, Kind.CONDUCT, variant, working, p) for n, p in probes.items()]


def _attempt(name: str, kind: Kind, subject: Subject, dtype: torch.dtype, probe: Probe) -> Finding:
    """Return the finding of a probe, or that the optimizer refuses what it does."""
    try:
        return probe(subject, dtype=dtype)
    except RefusedError as error:
        return _unsupported(name, kind, subject, dtype, error.why)


def _unsupported(name: str, kind: Kind, subject: Subject, dtype: torch.dtype, why: str) -> Finding:
    return Finding(name, kind, Status.UNSUPPORTED, subject.options, plain(dtype), why=why)
