"""Gradients at extreme scales from the first step on: how far from the run in double precision."""

from __future__ import annotations

import math
from functools import cache

import attrs
import torch
from torch import Tensor

import normdsl as nd
from failures.subject import RULES, STEPS, VARIANTS, gradients, subject

SCALES = (1e-40, 1e-30, 1e-15, 1.0, 1e15, 1e30)
NAMES = (*RULES, *VARIANTS)
#: Those whose step does not depend on the scale of the gradient: by LMOs, without statistics.
SCALE_FREE = ("lion", "muon", "scion", "muon, polynomials", "muon, Gram polynomials")
#: Square, so that no statistic lacks rank and eigenbases are determined; and of a size at which
#: G / |G|, the first LMO's argument for MuAdam-SANIA, is regular: where it is not, an eps decides
#: in float64, and is lost beside |G| in float32.
_SHAPES = ((16, 16), (16, 16), (12, 12))


@attrs.frozen
class Run:
    """A run from weights 0 beside the same in double precision.

    Args:
        dtype: of the parameters. moved: ‖W_64‖_F at the end of the run in double precision.
        error: ‖W − W_64‖_F / ‖W_64‖_F; NaN if a step was refused, or W_64 = 0.
        refused: whether this run was refused a step. beyond: whether double precision was too.
    """

    dtype: torch.dtype
    moved: float
    error: float
    refused: bool = False
    beyond: bool = False

    @property
    def verdict(self) -> str:
        """What came of it, in a word."""
        if self.refused:
            return "refused, as in float64" if self.beyond else "refused"
        if self.moved < torch.finfo(self.dtype).tiny:
            return "too small to tell"
        if self.error >= 0.5:
            return "lost"
        return "right" if self.error < self.tolerance else "off"

    @property
    def tolerance(self) -> float:
        """Rounding of a few steps: of the weights in bfloat16, of the computation in float32."""
        return 2**-6 if self.dtype is torch.bfloat16 else 1e-3

    def __str__(self) -> str:
        if self.verdict == "lost":
            return f"lost: float64 moves by {self.moved:.0e}"
        return (
            f"{self.verdict}: {self.error:.0e}"
            if self.verdict in ("right", "off")
            else self.verdict
        )


@cache
def run(name: str, scale: float, dtype: torch.dtype) -> Run:
    """Run a rule at a scale, on gradients that both precisions have exactly."""
    grads = [[(scale * g).to(dtype) for g in gradients(k, _SHAPES)] for k in range(STEPS)]
    exact = _path(name, [[g.double() for g in step] for step in grads], torch.float64)
    ours = _path(name, grads, dtype)
    if exact is None or ours is None:
        return Run(dtype, 0.0, math.nan, ours is None, exact is None)
    size = float(exact.norm())
    return Run(dtype, size, float((ours - exact).norm()) / size if size else math.nan)


def _path(name: str, grads: list[list[Tensor]], dtype: torch.dtype) -> Tensor | None:
    """Return the weights at the end; None if a step was refused."""
    made = subject(name, dtype, shapes=_SHAPES, start=0.0, steps=0)
    try:
        for step in grads:
            made.step(step)
    except nd.GradientError:
        return None
    return torch.cat([p.detach().double().flatten() for p in made.params])
