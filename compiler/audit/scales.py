"""Gradient scales: does the first step follow one power law from ‖G‖ = 1e-10 to 1e6?

Multiplying by a power of two commutes with rounding in every binary format, so what deviates from
the law is an absolute constant inside the optimizer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from normdsl.compiler.audit.findings import Finding, Kind, Status, plain
from normdsl.compiler.audit.first import PATIENCE, first_step, grain
from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.streams import exact_normal

PROBE = "gradient_scale"
#: Powers of two next to 1e-10 … 1e6.
SCALES = tuple(2.0 ** round(math.log2(10.0**k)) for k in range(-10, 7))
#: A relative change of the step below this is nobody's concern.
NEGLIGIBLE = 1e-3
#: So many times the rounding of a step is still rounding. It counts where it shows at large
#: gradients too, as in an optimizer that takes cube roots in bfloat16.
MARGIN = 4.0


def gradient_scale(subject: Subject, dtype: torch.dtype, shape: tuple[int, int]) -> Finding:
    """Compare the first step at every scale c with c^d times the step at the largest scale.

    The degree d is read off the two largest scales. The loss scales along with the gradient.

    Raises:
        RefusedError: if the optimizer raises.
    """
    base = [exact_normal(shape, (step, 5)) for step in range(PATIENCE)]
    unit = 2.0 ** -round(math.log2(float(base[0].norm())))
    norms = tuple(float(base[0].norm()) * unit * c for c in SCALES)

    def step_at(c: float) -> Tensor | None:
        return first_step(subject, lambda k: [base[k] * unit * c], dtype, loss=c)

    steps = [step_at(c) for c in SCALES]
    if steps[-1] is None:
        return Finding(
            PROBE, Kind.SCALE, Status.UNKNOWN, subject.options, plain(dtype),
            why=f"no step out of {PATIENCE} moves the weights",
        )  # fmt: skip
    degree = _degree(steps)
    curve = tuple(_change(s, steps[-1], c, degree) for s, c in zip(steps, SCALES, strict=True))
    rounding = min(max(curve[-4:]), grain(subject, lambda k: [base[k] * unit], dtype))
    tolerance = max(NEGLIGIBLE, MARGIN * torch.finfo(dtype).eps, MARGIN * rounding)
    first = _holds_from(curve, tolerance)
    worst = max(curve)
    status = Status.HOLDS if first == 0 else Status.ABOVE
    if first > len(SCALES) - 3:
        status = Status.BREAKS
    return Finding(
        PROBE, Kind.SCALE, status, subject.options, plain(dtype),
        factor=worst,
        step=None if status is Status.HOLDS else 1,
        above=norms[first] if status is Status.ABOVE else None,
        tolerance=tolerance, at=norms, curve=curve, limits=(tolerance,) * len(curve),
        why=_told(status, degree, worst),
    )  # fmt: skip


def _told(status: Status, degree: float, worst: float) -> str:
    law = f"step ∝ ‖G‖^{degree:.3g}"
    if status is Status.HOLDS:
        return law
    where = "below" if status is Status.ABOVE else "for large gradients only: elsewhere"
    return f"{law}; {where}, the first step is off by up to {worst:.2g}: a constant decides it"


def _degree(steps: list[Tensor | None]) -> float:
    """Return d of step ∝ c^d from the two largest scales; a fraction where one is meant."""
    high, low = (0.0 if s is None else float(s.norm()) for s in (steps[-1], steps[-2]))
    if not (0 < high < math.inf and 0 < low < math.inf):
        return 0.0
    slope = math.log(high / low) / math.log(SCALES[-1] / SCALES[-2])
    twelfths = round(slope * 12) / 12
    return twelfths if abs(slope - twelfths) < 2e-3 else slope


def _change(step: Tensor | None, top: Tensor | None, c: float, degree: float) -> float:
    """Return the relative deviation of a step from the law through the top one."""
    if step is None or top is None or not bool(torch.isfinite(step).all()):
        return 1.0 if step is None else math.inf
    expected = top * (c / SCALES[-1]) ** degree
    change = float((step - expected).norm() / expected.norm())
    return change if math.isfinite(change) else math.inf


def _holds_from(curve: tuple[float, ...], tolerance: float) -> int:
    """Return the first index from which on, up to the end, the curve stays within tolerance."""
    bad = [k for k, change in enumerate(curve) if change > tolerance]
    return bad[-1] + 1 if bad else 0
