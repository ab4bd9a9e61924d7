"""State purity: in every dtype the states follow those of a float64 run up to rounding.

Both runs are fed the same gradients, which every dtype holds exactly. Rounding is calibrated by
runs in either dtype whose gradients are off by one unit in the last place of the narrow one; a
difference far above it means that something else was written into a state. What depends on random
draws is calibrated by another seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, plain
from normdsl.compiler.audit.memory import SHAPES, SIZE, STEPS, verdict
from normdsl.compiler.audit.runs import Run, Subject
from normdsl.compiler.audit.streams import Stream, gradients, linear

#: A relative difference below this is no corruption.
LARGE = 0.25
#: So many times the calibrated rounding is still rounding.
MARGIN = 8.0
#: A slot this small beside the weights holds rounding errors only.
RESIDUE = 1e-9

Table = dict[str, list[float]]


def precision(subject: Subject, dtype: torch.dtype, reference: torch.dtype) -> Finding:
    """Compare states and weights in `dtype` with those in `reference`, slot by slot.

    Weights start at zero, so that small steps are not lost beside them.

    Raises:
        RefusedError: if the optimizer raises.
    """
    stream = gradients(SHAPES, 4, SIZE)
    exact, narrow = _run(subject, stream, reference), _run(subject, stream, dtype)
    found = deviations(exact, narrow)
    shaken = [_disturbed(stream, torch.finfo(dtype).eps, k) for k in range(2)]
    noises = [deviations(exact, _run(subject, s, reference)) for s in shaken]
    noises += [deviations(narrow, _run(subject, s, dtype)) for s in shaken]
    noises.append(deviations(exact, _run(subject, stream, reference, seed=1)))
    for step in range(STEPS):
        bad = []
        for slot, values in found.items():
            noise = max(table.get(slot, [0.0] * STEPS)[step] for table in noises)
            limit = max(LARGE, MARGIN * noise)
            if values[step] > limit:
                bad.append((values[step], slot, limit))
        if bad:
            factor, slot, limit = max(bad)
            why = f"{slot} is not what {plain(reference)} gives, far beyond rounding"
            return verdict("precision", subject, dtype, why, step + 1, factor, limit)
    return verdict("precision", subject, dtype, tolerance=LARGE)


def _run(subject: Subject, stream: Stream, dtype: torch.dtype, seed: int = 0) -> Run:
    return subject.run([torch.zeros(s, dtype=dtype) for s in SHAPES], linear(stream), STEPS, seed)


def _disturbed(stream: Stream, size: float, seed: int) -> Stream:
    def moved(step: int) -> list[Tensor]:
        rng = np.random.default_rng([seed, step, 17])
        signs = [rng.choice([-1.0, 1.0], tuple(g.shape)) for g in stream(step)]
        pairs = zip(stream(step), signs, strict=True)
        return [g * torch.as_tensor(1 + size * sign) for g, sign in pairs]

    return moved


def deviations(exact: Run, other: Run) -> Table:
    """Return for each slot how far two runs differ after each step, relative to its size so far.

    Orthonormal slots are left out: a basis of eigenvectors is free up to signs. So are slots that
    hold nothing but rounding errors.
    """
    table: Table = {}
    unit = max(float(w.double().norm()) for w in exact.weights[-1])
    for slot, values in _common(exact, other):
        size, row = 0.0, []
        for x, y in values:
            size = max(size, float(x.norm()))
            gap = float((x - y).norm())
            row.append((gap / size if size else 0.0) if math.isfinite(gap) else math.inf)
        if size > RESIDUE * unit and not all(
            _orthonormal(x) and _orthonormal(y) for x, y in values
        ):
            table[slot] = row
    return table


def _common(exact: Run, other: Run) -> Iterator[tuple[str, list[tuple[Tensor, Tensor]]]]:
    """Yield the floating-point slots and weights that two runs have in equal shapes."""
    first, second = _slots(exact), _slots(other)
    for slot, column in first.items():
        pairs = list(zip(column, second.get(slot, []), strict=False))
        same = all(
            x.shape == y.shape and x.is_floating_point() == y.is_floating_point() for x, y in pairs
        )
        if len(pairs) == STEPS and same and column[0].is_floating_point():
            yield slot, [(x.double(), y.double()) for x, y in pairs]


def _slots(run: Run) -> dict[str, list[Tensor]]:
    """Return every slot's values after each step; slots that come and go are left out."""
    columns: dict[str, list[Tensor]] = {}
    for weights, states in zip(run.weights[1:], run.states[1:], strict=True):
        for k, w in enumerate(weights):
            columns.setdefault(f"parameter {k}", []).append(w)
        for name, x in states.items():
            columns.setdefault(f"state {name}", []).append(x)
    return {slot: column for slot, column in columns.items() if len(column) == STEPS}


def _orthonormal(x: Tensor) -> bool:
    if x.ndim != 2 or x.shape[0] != x.shape[1]:
        return False
    return bool((x.T @ x - torch.eye(x.shape[0], dtype=x.dtype)).abs().max() < 0.05)
