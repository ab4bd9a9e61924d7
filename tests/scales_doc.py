"""Writes docs/scales.md: the conventions for the factor between a learning rate and a step.

python tests/scales_doc.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import normdsl as nd
from normdsl.show.grid import Grid

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scales.md"
#: A square layer, one that narrows, one that widens: rows are outputs. No figure ends in a tie.
SHAPES = ((100, 100), (100, 400), (400, 100))

#: Who multiplies steps by each factor.
USERS = {
    "none": "GPT-opt (MuonMax)",
    "shape": 'Jordan\'s Muon; `torch.optim.Muon(adjust_lr_fn="original")`, its default; NorMuon',
    "spectral": 'Scion; Dion and microsoft/dion ("spectral_norm"); Modula',
    "unit_rms": 'NVIDIA Emerging-Optimizers (called "spectral" there)',
    "match_adamw_rms": 'Moonlight; `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`; '
    'microsoft/dion ("rms_norm"); ROOT',
    "mean_length": "SPlus, whose decay is multiplied by it as well",
    "fan_in": "Scion's sign steps",
    "root_fan_in": "Scion's steps of normalized rows",
    "root_fan_out": "Scion's steps of normalized columns",
}

HEAD = """# Scales

Written by `python tests/scales_doc.py`; a test keeps it in step with the code.

A rule steps by lr · s(m, n) · direction. The direction is an LMO; s is a convention, and a
learning rate means nothing without it. `nd.scale` names the conventions as expressions, which
multiply a step, `lr * nd.scale.shape * nd.spectral.lmo(u)`, or divide a norm: the LMO of
`(1 / nd.scale.spectral) * nd.spectral`, the norm `nd.rms_to_rms`, is `nd.scale.spectral` times
that of `nd.spectral`. `nd.scale.Scale("mine", …)` is one of your own.

m and n are the lengths of the matrix that the norm sees: m = outputs, n = inputs. Beware of
filters: Jordan's code reads the last two lengths of the filter, its height and width, so that
s = 1. "spectral" is √(m/n) in microsoft/dion and here, and √max(m, n) in Emerging-Optimizers.

| scale | s | source | used by |
| --- | --- | --- | --- |
"""

MEASURED = """
## What a step is

Root mean square of the entries and spectral norm of s times a polar factor of full rank, measured.
In formulas they are s / √max(m, n) and s: `unit_rms` makes the first 1, `none` the second, and
`spectral` makes the RMS → RMS norm √(n/m) σ₁ equal to 1.

"""

CONVERSIONS = """
## From one to another

`nd.scale.convert(lr, source, target, (m, n))` is lr · s_source / s_target. The tables hold these
quotients: multiply a rate of the row's convention by the cell to step as far under the column's.
A decay that is multiplied by the rate, (1 − lr λ) W, keeps its strength if λ is divided by the
cell.
"""


def listed() -> str:
    """Return the rows of the list of conventions."""
    cells = ((f"`{s.name}`", str(s), s.reference, USERS[s.name]) for s in nd.scale.ALL)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def polar_factor(shape: tuple[int, int]) -> np.ndarray:
    """Return a polar factor of a random matrix."""
    u, _, vh = np.linalg.svd(np.random.default_rng(0).standard_normal(shape), full_matrices=False)
    return u @ vh


def measure(scale: nd.scale.Scale, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the root mean square and the spectral norm of a scaled polar factor."""
    step = scale.at(shape) * polar_factor(shape)
    return float(np.sqrt(np.mean(step**2))), float(np.linalg.norm(step, 2))


def measured() -> Grid:
    """Return root mean squares and spectral norms of scaled polar factors."""
    head = ["scale", *(f"{what}, {m} × {n}" for m, n in SHAPES for what in ("RMS", "σ₁"))]
    rows = [[s.name, *(f"{x:.3g}" for p in SHAPES for x in measure(s, p))] for s in nd.scale.ALL]
    return Grid(head, rows)


def page() -> str:
    """Return the page."""
    parts = [HEAD, listed(), MEASURED, measured().markdown(), "\n", CONVERSIONS]
    for m, n in SHAPES:
        parts += [f"\n{m} × {n}:\n\n", nd.scale.conversions((m, n)).markdown(), "\n"]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
