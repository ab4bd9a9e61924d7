"""Polar factors by rational steps on the Gram matrix, for square matrices on CPUs."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.express import ninth_degree
from normdsl.compiler.kernels.products import (
    as_before,
    shifted,
    symmetric_product,
    unit_root,
    wide_batch,
)


def halley_factor(gram: Tensor, lowest: float) -> Tensor:
    """Return (a I + b gram) (I + c gram)^{-1}, which brings singular values above `lowest` near 1.

    σ ↦ σ (a + b σ²) / (1 + c σ²), Halley's step with the weights of Nakatsukasa, Bai and Gygi
    (2010, doi:10.1137/090774999). b/c and (a − b/c) (I + c gram)^{-1} are summed.
    """
    d = (4 * (1 - lowest**2) / lowest**4) ** (1 / 3)
    root = (1 + d) ** 0.5
    a = root + (8 - 4 * d + 8 * (2 - lowest**2) / (lowest**2 * root)) ** 0.5 / 2
    b = (a - 1) ** 2 / 4
    c = a + b - 1
    lower = torch.linalg.cholesky_ex(shifted(c * gram, 1.0)).L
    return shifted((a - b / c) * torch.cholesky_inverse(lower), b / c)


def polar_halley(x: Tensor) -> Tensor:
    """Return the polar factor by two rational steps and one polynomial of degree 9.

    Singular values above 1e-5 ‖x xᵀ‖_F^½ come within 2e-5 of 1; below, σ becomes about 1e5 σ /
    ‖x xᵀ‖_F^½. The first step is in double precision, since it raises small singular values by
    3,000 at once: a Gram matrix in single precision has lost them. The later ones form it anew.
    """
    y = wide_batch(x)
    wide = y.double()
    gram = symmetric_product(wide, wide.mT)
    size = unit_root(gram)
    factor = halley_factor(gram / size, 1e-5) * size.rsqrt()
    y = factor.to(x.dtype) @ y
    y = halley_factor(symmetric_product(y, y.mT), 0.0542) @ y
    last = (-2.04915942567, 1.3025399996, -0.477851615926, 0.809386885817, 1.42590419957)
    return as_before(ninth_degree(symmetric_product(y, y.mT), last) @ y, x)
