"""Resuming: an optimizer loaded from its state_dict goes on bit for bit as if never stopped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, plain
from normdsl.compiler.audit.memory import SHAPES, SIZE, verdict
from normdsl.compiler.audit.runs import Drive, RefusedError, Subject
from normdsl.compiler.audit.streams import gradients, linear
from normdsl.compiler.audit.surroundings import seed_everything

BEFORE, AFTER = 3, 3


def resume(subject: Subject, dtype: torch.dtype) -> Finding:
    """Compare a run with one that went through a checkpoint after three steps.

    Raises:
        RefusedError: if the optimizer raises without a checkpoint.
    """
    loss = linear(gradients(SHAPES, 6, SIZE))
    drive = subject.drive([torch.zeros(s, dtype=dtype) for s in SHAPES])
    for step in range(BEFORE):
        drive.advance(loss, step)
    try:
        fresh = subject.drive(drive.weights())
        fresh.optimizer.load_state_dict(copy.deepcopy(drive.optimizer.state_dict()))
    except Exception as error:
        why = f"loading raises {type(error).__name__}: {error}"
        return verdict("resume", subject, dtype, why, BEFORE)
    lost = _lost(drive, fresh)
    for step in range(BEFORE, BEFORE + AFTER):
        seed_everything(step)
        drive.advance(loss, step)
        seed_everything(step)
        try:
            fresh.advance(loss, step)
        except RefusedError as error:
            return verdict("resume", subject, dtype, error.why, step + 1)
        factor = _distance(drive, fresh)
        if factor > 0:
            why = lost or "the loaded optimizer takes another step"
            return verdict("resume", subject, dtype, why, step + 1, factor)
    return verdict("resume", subject, dtype, lost, BEFORE if lost else None)


def _lost(drive: Drive, fresh: Drive) -> str:
    """Return which state does not come back, and how; empty if all do."""
    loaded = dict(fresh.slots())
    for name, x in drive.slots():
        y = loaded.get(name)
        if y is None:
            return f"state {name} is not in the state_dict"
        if x.shape != y.shape or not _equal(x.double(), y.double()):
            cast = f" in {plain(y.dtype)} instead of {plain(x.dtype)}" if x.dtype != y.dtype else ""
            return f"state {name} comes back with other values{cast}"
    return ""


def _equal(x: Tensor, y: Tensor) -> bool:
    return bool(((x == y) | (x.isnan() & y.isnan())).all())


def _distance(drive: Drive, fresh: Drive) -> float:
    """Return the relative distance of the weights, 0 only if they are equal bit for bit."""
    pairs = list(zip(drive.weights(), fresh.weights(), strict=True))
    if all(_equal(a, b) for a, b in pairs):
        return 0.0
    return max(float((a.double() - b.double()).norm() / a.double().norm()) for a, b in pairs)
