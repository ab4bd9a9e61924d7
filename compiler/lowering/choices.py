"""Choices: what `Automatic` is for matrices of a device, dtype and size, why, and its error."""

from __future__ import annotations

import attrs
import torch

from normdsl.compiler.kernels import hopper
from normdsl.compiler.kernels.automatic import has_bfloat16, polar_way, root_way
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant

_FINE = "singular values above {} ρ, ρ = ‖X Xᵀ‖_F^½, come within 1e-4 of 1"


@attrs.frozen
class Spot:
    """Where a step is computed: on which device, in which dtype, for matrices of which sizes."""

    device: torch.device
    dtype: torch.dtype
    sizes: tuple[tuple[int, int], ...]


@attrs.frozen
class Choice:
    """What was chosen for a role, why, and within which error it computes that."""

    what: str
    why: str
    error: str

    def __str__(self) -> str:
        return f"{self.what}, since {self.why}: {self.error}"


_POLAR = {
    "svd": Choice("SVD()", "float64 is for exact work", "exact"),
    "zolotarev": Choice(
        "Zolotarev's function of degree 5 and a polynomial",
        "one side is twice as long as the other, on a CPU",
        _FINE.format("4e-3"),
    ),
    "halley": Choice(
        "2 Halley steps and a polynomial",
        "neither side is twice as long as the other, on a CPU",
        _FINE.format("1e-5"),
    ),
    "half": Choice(
        "5 steps of Polar Express on Gram matrices in bfloat16",
        "the device multiplies in bfloat16, and factorisations are slow on it",
        "singular values above 1e-3 ‖X‖_F end in [0.83, 1.16]",
    ),
    "products": Choice(
        "7 steps of Polar Express on Gram matrices",
        "factorisations are slow on this device, and bfloat16 is no faster",
        "singular values above 1e-3 ‖X‖_F come within 1e-2 of 1",
    ),
}
_QUACK = Choice(
    "gemm_symmetric of quack-kernels",
    "it is installed, and no entry above the diagonal is computed twice",
    "exact but for rounding",
)
_EIGH = Choice("Eigh()", "it is exact, and there is no faster way here", "exact")
_NEWTON = Choice(
    "CoupledNewton(steps=30)",
    "factorisations are slow on this device",
    "eigenvalues above 1e-6 ‖S‖_F are exact but for rounding, smaller ones count as that",
)


def polar_choices(spot: Spot) -> tuple[Choice, ...]:
    """Return what a polar factor is computed by, for each of the sizes that needs another way."""
    exact = spot.dtype == torch.float64
    ways = [polar_way(spot.device.type, exact, *size) for size in spot.sizes]
    half = has_bfloat16(spot.device)
    ways = ["half" if way == "products" and half else way for way in ways]
    return tuple(_POLAR[way] for way in dict.fromkeys(ways))


def root_choice(spot: Spot, exponent: Expr) -> Choice:
    """Return what a power of a matrix is computed by."""
    number = float(exponent.value) if isinstance(exponent, Constant) else None
    newton = root_way(spot.device.type, spot.dtype == torch.float64, number)
    return _NEWTON if newton else _EIGH


def product_choices(spot: Spot, dtype: torch.dtype) -> tuple[Choice, ...]:
    """Return what symmetric products of a dtype are formed by on a GPU, for each of the sizes."""
    missing, found = hopper.refusal(), dict[str, None]()
    for short, long in map(sorted, spot.sizes):
        found[missing or hopper.unfit(spot.device, dtype, short, long) or ""] = None
    plain = "as exact as any product"
    return tuple(Choice("torch.bmm", why, plain) if why else _QUACK for why in found)


def eigenbasis_choice() -> Choice:
    """Return what an eigenbasis is computed by."""
    return _EIGH
