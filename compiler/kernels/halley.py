"""Polar factors by rational steps on the Gram matrix, for about square matrices on CPUs."""

from __future__ import annotations

from torch import Tensor

from normdsl.compiler.kernels.inverses import positive_inverse
from normdsl.compiler.kernels.polynomials import ninth_degree
from normdsl.compiler.kernels.products import (
    in_double,
    on_short,
    root_bound,
    shifted,
    short_gram,
    unit_entries,
)


def halley_weights(lowest: float) -> tuple[float, float, float]:
    """Return (a, b, c) of the step σ ↦ σ (a + b σ²) / (1 + c σ²) that brings [lowest, 1] near 1.

    Halley's, with the weights of Nakatsukasa, Bai and Gygi (2010, doi:10.1137/090774999).
    """
    d = (4 * (1 - lowest**2) / lowest**4) ** (1 / 3)
    root = (1 + d) ** 0.5
    a = root + (8 - 4 * d + 8 * (2 - lowest**2) / (lowest**2 * root)) ** 0.5 / 2
    b = (a - 1) ** 2 / 4
    return a, b, a + b - 1


def halley_starts() -> tuple[float, float]:
    """Return the least singular values that the steps of `polar_halley` are made for."""
    return 1e-5, 0.0542


def halley_last() -> tuple[float, float, float, float, float]:
    """Return the polynomial that follows these steps."""
    return (-2.04915942567, 1.3025399996, -0.477851615926, 0.809386885817, 1.42590419957)


def halley_factor(gram: Tensor, lowest: float) -> Tensor:
    """Return (a I + b gram) (I + c gram)^{-1} for the weights of `lowest`.

    It is the sum of b/c I and (a − b/c) (I + c gram)^{-1}.
    """
    a, b, c = halley_weights(lowest)
    inverse = positive_inverse(shifted(c * gram, 1.0))
    return shifted((a - b / c) * inverse, b / c)


def polar_halley(x: Tensor) -> Tensor:
    """Return the polar factor by two rational steps and one polynomial of degree 9.

    Singular values above 1e-5 ‖x xᵀ‖_F^½ come within 2e-5 of 1; below, σ becomes about 1e5 σ /
    ‖x xᵀ‖_F^½. The first step is in double precision, since it raises small singular values by
    3,000 at once: a Gram matrix in single precision has lost them. The later ones form it anew.
    """
    first, second = halley_starts()
    y = unit_entries(x)
    gram = short_gram(in_double(y))
    size = root_bound(gram)
    factor = halley_factor(gram / size, first) * size.rsqrt()
    y = on_short(factor.to(x.dtype), y)
    y = on_short(halley_factor(short_gram(y), second), y)
    return on_short(ninth_degree(short_gram(y), halley_last()), y).reshape(x.shape)
