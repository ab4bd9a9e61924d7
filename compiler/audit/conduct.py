"""Conduct: what an optimizer leaves alone: parameters without a gradient, order, other runs, draws.

Every probe is a short run beside one that must take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.memory import SHAPES, SIZE, starts
from normdsl.compiler.audit.runs import Drive, Loss, Subject
from normdsl.compiler.audit.streams import Stream, gradients, linear
from normdsl.compiler.audit.surroundings import (
    process,
    seed_everything,
    settings_restored,
)

STEPS = 4
#: Weights that differ by a smaller share of the way they went differ by rounding.
LARGE = 1e-2
#: No one's choice for a seed.
SEED = 28_657
#: An arrangement of the parameters.
ORDER = (2, 0, 1)


def finding(
    probe: str,
    subject: Subject,
    dtype: torch.dtype,
    why: str = "",
    step: int | None = None,
    factor: float | None = None,
    status: Status = Status.BREAKS,
) -> Finding:
    """Return the finding of a probe of conduct: it holds if there is nothing to say."""
    return Finding(
        probe, Kind.CONDUCT, status if why else Status.HOLDS, subject.options, plain(dtype),
        factor=factor, step=step, why=why,
    )  # fmt: skip


def arranged(subject: Subject, arrange: Callable[[list[Parameter]], Any]) -> Subject:
    """Return an optimizer that is given its parameters in another arrangement."""
    return attrs.evolve(subject, factory=lambda params: subject.factory(arrange(params)))


def no_gradient(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether parameters stay as they are that have no gradient, never or no longer, or are frozen.

    Raises:
        RefusedError: if the optimizer raises.
    """
    stream = gradients(SHAPES, 21, SIZE)

    def loss(params: Sequence[Tensor], step: int) -> Tensor:
        having = [k for k in range(2) if k == 0 or step < 2]
        return torch.stack([(params[k] * stream(step)[k].to(dtype)).sum() for k in having]).sum()

    for kind, still in (("has no gradient", subject), ("is frozen", arranged(subject, _freeze))):
        drive = still.drive(starts(dtype))
        for step in range(STEPS):
            before = drive.weights()
            drive.advance(loss, step)
            now = drive.weights()
            for k in (2,) if step < 2 else (1, 2):
                if not torch.equal(now[k], before[k]):
                    why = f"parameter {k} {kind if k == 2 else 'has no gradient'}, and is moved"
                    return finding("no_gradient", subject, dtype, why, step + 1)
    return finding("no_gradient", subject, dtype)


def _freeze(params: list[Parameter]) -> list[Parameter]:
    params[2].requires_grad_(False)
    return params


def order(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether parameters take the same steps in whatever order they are given.

    Raises:
        RefusedError: if the optimizer raises.
    """
    loss = linear(gradients(SHAPES, 22, SIZE))
    other = arranged(subject, lambda params: [params[k] for k in ORDER])
    before = starts(dtype)
    runs = [s.drive(before) for s in (subject, other)]
    for step in range(STEPS):
        for drive in runs:
            seed_everything(step)
            left = process()
            drive.advance(loss, step)
            if _touched(left):
                why = "it draws random numbers for one parameter after the other"
                return finding("order", subject, dtype, why, status=Status.UNKNOWN)
        factor, k = _apart(before, *runs)
        if factor > LARGE:
            why = f"parameter {k} steps in another way if it is given at another place"
            return finding("order", subject, dtype, why, step + 1, factor)
    return finding("order", subject, dtype)


def independent(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether an optimizer takes the same steps while another of its kind is at work.

    Raises:
        RefusedError: if the optimizer raises.
    """
    loss, theirs = (linear(gradients(SHAPES, seed, SIZE)) for seed in (23, 24))
    before = starts(dtype)
    alone, beside = subject.drive(before), subject.drive(before)
    for step in range(STEPS):
        seed_everything(step)
        alone.advance(loss, step)
    other = subject.drive([2 * w for w in before])
    for step in range(STEPS):
        other.advance(theirs, step)
        seed_everything(step)
        beside.advance(loss, step)
    factor, k = _apart(before, alone, beside)
    if factor > LARGE:
        why = f"parameter {k} steps in another way while a second optimizer is at work"
        return finding("independent", subject, dtype, why, factor=factor)
    return finding("independent", subject, dtype)


def ascent(subject: Subject, dtype: torch.dtype, base: Subject) -> Finding:
    """Whether `maximize` takes the steps that the negative gradient takes without it.

    Args:
        subject: with the option. dtype: of the parameters. base: without it.

    Raises:
        RefusedError: if the optimizer raises.
    """
    stream, before = gradients(SHAPES, 25, SIZE), starts(dtype)
    up, down = subject.drive(before), base.drive(before)
    for step in range(STEPS):
        seed_everything(step)
        up.advance(_signed(stream, 1), step)
        seed_everything(step)
        down.advance(_signed(stream, -1), step)
        factor, k = _apart(before, up, down)
        if factor > LARGE:
            why = f"parameter {k} does not step as it does from the negative gradient without it"
            return finding("maximize", subject, dtype, why, step + 1, factor)
    return finding("maximize", subject, dtype)


def _signed(stream: Stream, sign: int) -> Loss:
    return linear(lambda step: [sign * g for g in stream(step)], float(sign))


def zero_grad(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether `zero_grad` leaves no parameter a gradient, in whatever group it is.

    Raises:
        RefusedError: if the optimizer raises in a step, or takes no groups.
    """
    loss = linear(gradients(SHAPES, 26, SIZE))
    drive = arranged(subject, lambda ps: [{"params": ps[:1]}, {"params": ps[1:]}]).drive(
        starts(dtype)
    )
    drive.advance(loss, 0)
    try:
        drive.optimizer.zero_grad()
    except Exception as error:
        why = f"zero_grad raises {type(error).__name__}: {error}"
        return finding("zero_grad", subject, dtype, why)
    left = [k for k, p in enumerate(drive.params) if p.grad is not None and bool(p.grad.any())]
    why = f"zero_grad leaves parameter {left[0]} its gradient" if left else ""
    return finding("zero_grad", subject, dtype, why)


def surroundings(subject: Subject, dtype: torch.dtype) -> Finding:
    """Whether random generators and settings of the process stay as they are.

    Raises:
        RefusedError: if the optimizer raises.
    """
    loss = linear(gradients(SHAPES, 27, SIZE))
    with settings_restored():
        seed_everything(SEED)
        left = process()
        drive = subject.drive(starts(dtype), SEED)
        touched = _touched(left)
        if touched:
            return finding("surroundings", subject, dtype, f"making it changes {touched[0]}")
        for step in range(STEPS):
            seed_everything(SEED)
            left = process()
            drive.advance(loss, step)
            touched = _touched(left)
            if touched:
                drawn = "generator" in touched[0] and not _reseeds(subject, dtype, touched[0])
                how = "draws from" if drawn else "sets"
                why = f"the step {how} {touched[0]}"
                return finding("surroundings", subject, dtype, why, step + 1)
    return finding("surroundings", subject, dtype)


def _touched(left: Mapping[str, object]) -> list[str]:
    """Return what of the process is not as it was left."""
    return [name for name, value in process().items() if value != left[name]]


def _reseeds(subject: Subject, dtype: torch.dtype, name: str) -> bool:
    """Return whether a state of a generator does not depend on what it was before."""
    ends = []
    for seed in range(2):
        drive = subject.drive(starts(dtype))
        seed_everything(SEED + seed)
        for step in range(STEPS):
            drive.advance(linear(gradients(SHAPES, 27, SIZE)), step)
        ends.append(process()[name])
    return ends[0] == ends[1]


def _apart(before: Sequence[Tensor], one: Drive, other: Drive) -> tuple[float, int]:
    """Return how far two runs are apart, as a share of the way they went; of which parameter."""
    gaps = []
    for k, (start, x, y) in enumerate(zip(before, one.weights(), other.weights(), strict=True)):
        x, y = x.double() - start.double(), y.double() - start.double()
        way = max(float(x.norm()), float(y.norm()))
        gaps.append((float((x - y).norm()) / way if way else 0.0, k))
    return max(gaps)
