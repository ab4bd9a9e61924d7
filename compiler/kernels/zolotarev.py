"""Polar factors by a rational function of the Gram matrix and a polynomial, for long matrices."""

from __future__ import annotations

from torch import Tensor

from normdsl.compiler.kernels.express import ninth_degree
from normdsl.compiler.kernels.inverses import positive_inverse
from normdsl.compiler.kernels.products import (
    on_short,
    root_bound,
    shifted,
    short_gram,
    unit_entries,
)


def zolotarev_factor(gram: Tensor) -> Tensor:
    """Return b I + Σ_j a_j (gram + c_j I)^{-1}, which brings singular values above 4e-3 near 1.

    σ ↦ σ (b + Σ_j a_j / (σ² + c_j)), scaled to at most 1, is the odd rational function of degree 5
    that stays closest to it (Zolotarev, 1877; Nakatsukasa and Freund, 2016, doi:10.1137/140990334):
    above 0.798. In single precision no more can be asked of a Gram matrix, whose errors are small
    beside the lesser c_j.
    """
    first = 0.0133475898988 * positive_inverse(shifted(gram.clone(), 5.56500032044e-5))
    second = 0.201422716088 * positive_inverse(shifted(gram.clone(), 0.0160437638156))
    return shifted(first.add_(second), 0.788410987248)


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
    return zolotarev_factor((gram / size).double()).to(gram.dtype) * size.rsqrt()


def zolotarev_last(gram: Tensor) -> Tensor:
    """Return the polynomial that follows Zolotarev's function: of [0.798, 1]."""
    step = (-2.02021657697, 1.26164009433, -0.488921389806, 0.872214207165, 1.43810339068)
    return ninth_degree(gram, step)
