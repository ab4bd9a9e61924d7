"""Polar factors by a rational function of the Gram matrix and a polynomial, for long matrices."""

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


def zolotarev_terms() -> tuple[float, float, float, float, float]:
    """Return a_1, c_1, a_2, c_2 and b of σ ↦ σ (b + Σ_j a_j / (σ² + c_j)).

    Scaled to at most 1, it is the odd rational function of degree 5 that stays closest to it on
    [4e-3, 1] (Zolotarev, 1877; Nakatsukasa and Freund, 2016, doi:10.1137/140990334): above 0.798.
    In single precision no more can be asked of a Gram matrix, whose errors are small beside c_1.
    """
    return 0.0133475898988, 5.56500032044e-5, 0.201422716088, 0.0160437638156, 0.788410987248


def zolotarev_polynomial() -> tuple[float, float, float, float, float]:
    """Return the polynomial that follows: of [0.798, 1]."""
    return (-2.02021657697, 1.26164009433, -0.488921389806, 0.872214207165, 1.43810339068)


def zolotarev_factor(gram: Tensor) -> Tensor:
    """Return b I + Σ_j a_j (gram + c_j I)^{-1}, which brings singular values above 4e-3 near 1."""
    a1, c1, a2, c2, b = zolotarev_terms()
    first = a1 * positive_inverse(shifted(gram.clone(), c1))
    second = a2 * positive_inverse(shifted(gram.clone(), c2))
    return shifted(first.add_(second), b)


def polar_zolotarev(x: Tensor) -> Tensor:
    """Return the polar factor by Zolotarev's function and one polynomial of degree 9.

    For matrices with one long side, along which there are four products in all. Singular values
    above 4e-3 ‖x xᵀ‖_F^½ come within 3e-5 of 1; below, σ becomes 200 σ / ‖x xᵀ‖_F^½ or more.
    """
    y = unit_entries(x)
    y = on_short(zolotarev_first(short_gram(y)), y)
    return on_short(zolotarev_last(short_gram(y)), y).reshape(x.shape)


def zolotarev_first(gram: Tensor) -> Tensor:
    """Return Zolotarev's function of a matrix scaled by ‖gram‖_F^½, times what scales it."""
    size = root_bound(gram)
    return zolotarev_factor(in_double(gram / size)).to(gram.dtype) * size.rsqrt()


def zolotarev_last(gram: Tensor) -> Tensor:
    """Return the polynomial that follows Zolotarev's function."""
    return ninth_degree(gram, zolotarev_polynomial())
