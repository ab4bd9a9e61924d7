"""Faults of one step: one of three parameters is struck, and the others are looked at as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import attrs
import torch
from torch import Tensor

import normdsl as nd
from failures.subject import RULES, SHAPES, STEPS, Subject, finite, gradients, same, subject
from normdsl.expressions.nodes import Across, Source
from normdsl.expressions.traversal import walk

REFUSED, SKIPPED, MOVES, STANDS = "refused", "skipped", "moves", "stands"
ALL_SKIPPED = "all skipped"
Change = Callable[[list[Tensor]], list[Tensor]]


@attrs.frozen(eq=False)
class Fault:
    """A fault of one step.

    Args:
        name: what is wrong. change: of the gradients. raised, skipped: what may come of it, with
            either value of `nonfinite=`. told: what else the step is given. reads: the stream a
            rule must read for it. weight: put into the first parameter before the step.
            shapes: of the parameters. steps: taken before.
    """

    name: str
    change: Change
    raised: tuple[str, ...]
    skipped: tuple[str, ...]
    told: dict[str, Any] = attrs.field(factory=dict)
    reads: Source = Source.GRADIENT
    weight: float | None = None
    shapes: Sequence[tuple[int, int]] = SHAPES
    steps: int = STEPS


def first(change: Callable[[Tensor], Tensor]) -> Change:
    """Return the change of the first gradient alone."""
    return lambda grads: [change(grads[0]), *grads[1:]]


def entry(value: float) -> Change:
    """Return the change of one entry of the first gradient."""

    def change(g: Tensor) -> Tensor:
        return g.index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(value).to(g))

    return first(change)


def rank_one(g: Tensor) -> Tensor:
    return g[:, :1] @ g[:1, :]


def unchanged(grads: list[Tensor]) -> list[Tensor]:
    return grads


NEVER = ((REFUSED,), (SKIPPED,))
FINE = ((MOVES, STANDS), (MOVES, STANDS))
EITHER = ((REFUSED, MOVES, STANDS), (SKIPPED, MOVES, STANDS))
_ZERO = first(torch.zeros_like)
_NAN = {"input_moment": torch.full((6, 6), torch.nan)}
FAULTS = (
    Fault("one entry NaN", entry(torch.nan), *NEVER),
    Fault("one entry ∞", entry(torch.inf), *NEVER),
    Fault("one entry −∞, first step", entry(-torch.inf), *NEVER, steps=0),
    Fault("loss NaN", unchanged, *NEVER, {"loss": torch.nan}, Source.LOSS),
    Fault("moment NaN", unchanged, *NEVER, _NAN, Source.INPUT_MOMENT),
    Fault("weights NaN", unchanged, *NEVER, weight=torch.nan),
    Fault("all zero", _ZERO, *FINE),
    Fault("all zero, first step", _ZERO, *FINE, steps=0),
    Fault("rank one", first(rank_one), *FINE),
    Fault("rank one, first step", first(rank_one), *FINE, steps=0),
    Fault("1×6", unchanged, *FINE, shapes=((1, 6), (4, 6), (6, 3))),
    Fault("6×1", unchanged, *FINE, shapes=((6, 1), (4, 6), (6, 3))),
    Fault("1×1", unchanged, *FINE, shapes=((1, 1), (4, 6), (6, 3))),
    Fault("times 1e-30", first(lambda g: 1e-30 * g), *EITHER),
    Fault("times 1e-30, first step", first(lambda g: 1e-30 * g), *EITHER, steps=0),
    Fault("times 1e30", first(lambda g: 1e30 * g), *EITHER),
    Fault("times 1e30, first step", first(lambda g: 1e30 * g), *EITHER, steps=0),
    Fault("one entry 3e38", entry(3e38), *EITHER),
)
MODES = ("raise", "skip")


def expected(name: str, fault: Fault, nonfinite: str) -> tuple[str, ...]:
    """Return what may come of a fault; a rule that joins layers may skip all of its parameters."""
    joins = any(isinstance(x, Across) for x in walk(RULES[name].update))
    known = fault.raised if nonfinite == "raise" else fault.skipped
    return (*known, ALL_SKIPPED) if joins and SKIPPED in known else known


def applies(name: str, fault: Fault) -> bool:
    """Return whether a rule reads what the fault is about."""
    return RULES[name].reads(fault.reads)


@cache
def outcome(name: str, fault: Fault, dtype: torch.dtype, nonfinite: str) -> str:
    """Provoke a fault and say what came of it."""
    made = subject(name, dtype, nonfinite, fault.shapes, steps=fault.steps)
    _strike(made, fault)
    everything, each = made.held(), [made.of(k) for k in range(len(fault.shapes))]
    grads = gradients(fault.steps, fault.shapes)
    try:
        made.step(fault.change(grads), **fault.told)
    except nd.GradientError:
        return REFUSED if same(made.held(), everything) else "CHANGED"
    skipped = [_skipped(made, k, before, fault.steps) for k, before in enumerate(each)]
    if all(skipped):
        return ALL_SKIPPED
    if skipped[0]:
        return SKIPPED + ("" if _others_go_on(name, fault, dtype, made) else ", others stand")
    if not finite(made.held()):
        return "NOT FINITE"
    return STANDS if same(made.of(0)[:1], each[0][:1]) else MOVES


def _strike(made: Subject, fault: Fault) -> None:
    if fault.weight is not None:
        with torch.no_grad():
            made.params[0][1, 2] = fault.weight


def _skipped(made: Subject, k: int, before: list[Tensor], steps: int) -> bool:
    """Return whether a parameter took no step: all it has is as before, its clock too."""
    now = made.of(k)
    kept = same(now, before) if steps else same(now[:1], before[:1])
    return kept and float(made.opt.state[made.params[k]]["step"]) == steps


def _others_go_on(name: str, fault: Fault, dtype: torch.dtype, made: Subject) -> bool:
    """Return whether the others took the step that they take beside one without a gradient."""
    beside = _beside(name, dtype, tuple(fault.shapes), fault.steps)
    return all(same(made.of(k), beside.of(k)) for k in (1, 2))


@cache
def _beside(
    name: str, dtype: torch.dtype, shapes: Sequence[tuple[int, int]], steps: int
) -> Subject:
    made = subject(name, dtype, "skip", shapes, steps=steps)
    made.step([None, *gradients(steps, shapes)[1:]])
    return made
