"""Memory: gradients are left alone, tensors share no storage, a zero gradient is harmless."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.runs import Drive, RefusedError, Subject
from normdsl.compiler.audit.streams import exact_normal, gradients, linear

#: Wide, equal and tall: equal ones may be batched, tall ones may be transposed.
SHAPES = ((6, 8), (6, 8), (8, 6))
STEPS = 6
#: Size of the entries of gradients: far from 1, so that a normalised buffer is told from a plain
#: one, and small enough for the squares of float16.
SIZE = 16.0


def starts(dtype: torch.dtype) -> list[Tensor]:
    """Return random parameters that every dtype holds exactly."""
    return [exact_normal(s, (k, 3)).to(dtype) for k, s in enumerate(SHAPES)]


def verdict(
    probe: str,
    subject: Subject,
    dtype: torch.dtype,
    why: str = "",
    step: int | None = None,
    factor: float | None = None,
    tolerance: float | None = None,
) -> Finding:
    """Return the finding of a memory probe: it breaks if there is something to say."""
    status = Status.BREAKS if why else Status.HOLDS
    return Finding(
        probe, Kind.MEMORY, status, subject.options, plain(dtype),
        factor=factor, step=step, tolerance=tolerance, why=why,
    )  # fmt: skip


def gradient_kept(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether every `.grad` is bit for bit the same after a step.

    Raises:
        RefusedError: if the optimizer raises.
    """
    loss = linear(gradients(SHAPES, 0, SIZE))
    drive = subject.drive(starts(dtype))
    for step in range(STEPS):
        given = drive.advance(loss, step)
        for k, (p, before) in enumerate(zip(drive.params, given, strict=True)):
            if p.grad is None or torch.equal(p.grad, before):
                continue
            change = float((p.grad.double() - before.double()).norm() / before.double().norm())
            why = f"the step overwrites the gradient of parameter {k}"
            return verdict("gradient_kept", subject, dtype, why, step + 1, change)
    return verdict("gradient_kept", subject, dtype)


def storage(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether parameters, gradients and states occupy memory of their own, parameters always.

    Buckets of replicas, tied weights, views and captured graphs hold on to a parameter's memory.

    Raises:
        RefusedError: if the optimizer raises.
    """
    loss = linear(gradients(SHAPES, 1, SIZE))
    drive = subject.drive(starts(dtype))
    homes = [p.data_ptr() for p in drive.params]
    for step in range(STEPS):
        drive.advance(loss, step)
        moved = [k for k, p in enumerate(drive.params) if p.data_ptr() != homes[k]]
        if moved:
            why = f"parameter {moved[0]} is given other memory, where views of it do not see it"
            return verdict("storage", subject, dtype, why, step + 1)
        shared = _shared(drive)
        if shared is not None:
            why = f"{shared[0]} and {shared[1]} share memory"
            return verdict("storage", subject, dtype, why, step + 1)
    return verdict("storage", subject, dtype)


def _shared(drive: Drive) -> tuple[str, str] | None:
    """Return two tensors of an optimizer that overlap, if there are any."""
    named = [(f"parameter {k}", p.detach()) for k, p in enumerate(drive.params)]
    named += [(f"gradient {k}", p.grad) for k, p in enumerate(drive.params) if p.grad is not None]
    named += [(f"state {name}", x) for name, x in drive.slots()]
    places = [(name, addresses(x)) for name, x in named]
    for (first, a), (second, b) in combinations(places, 2):
        if a & b:
            return first, second
    return None


def addresses(x: Tensor) -> set[int]:
    """Return the address of every byte a small strided tensor occupies."""
    if x.layout is not torch.strided or x.numel() == 0:
        return set()
    offsets = torch.zeros((), dtype=torch.int64)
    for size, stride in zip(x.shape, x.stride(), strict=True):
        offsets = offsets.unsqueeze(-1) + stride * torch.arange(size)
    size = x.element_size()
    bytes_ = x.data_ptr() + size * offsets.reshape(-1, 1) + torch.arange(size)
    return set(bytes_.flatten().tolist())


def zero_gradient(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether weights stay finite through gradients that are zero, and ordinary ones after them."""
    stream = gradients(SHAPES, 2, SIZE)
    loss = linear(lambda step: [g * (step >= 2) for g in stream(step)])
    drive = subject.drive(starts(dtype))
    for step in range(4):
        try:
            drive.advance(loss, step)
        except RefusedError as error:
            return verdict("zero_gradient", subject, dtype, error.why, step + 1)
        bad = [k for k, w in enumerate(drive.weights()) if not bool(torch.isfinite(w).all())]
        if bad:
            why = f"parameter {bad[0]} is NaN or infinite"
            return verdict("zero_gradient", subject, dtype, why, step + 1)
    return verdict("zero_gradient", subject, dtype)
