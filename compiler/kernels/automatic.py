"""The methods of a schedule that names none: chosen by device, dtype and shape."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.halley import polar_halley
from normdsl.compiler.kernels.iterative import coupled_newton
from normdsl.compiler.kernels.newton_schulz import polar_gram_newton_schulz
from normdsl.compiler.kernels.polar import polar_svd
from normdsl.compiler.kernels.symmetric import symmetric_power, symmetric_powers
from normdsl.compiler.kernels.zolotarev import polar_zolotarev


def polar_way(device: str, exact: bool, rows: int, cols: int) -> str:
    """Return how polar factors are computed: "svd", "zolotarev", "halley" or "products".

    Args:
        device: its type. exact: whether in float64. rows: of the matrices. cols: likewise.

    Random matrices with a side that is twice as long have no singular values so small that a Gram
    matrix in single precision loses them.
    """
    short, long = min(rows, cols), max(rows, cols)
    if exact:
        return "svd"
    if device not in ("cpu", "meta"):
        return "products"
    return "zolotarev" if long >= 2 * short else "halley"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices in bfloat16 by itself."""
    return device.type == "cuda" and torch.cuda.get_device_properties(device).major >= 8


def polar_automatic(x: Tensor) -> Tensor:
    """Return the polar factor, by what is fastest where x is and within a stated error.

    Nothing is read but metadata. float64 is for exact work: by the SVD.
    """
    way = polar_way(x.device.type, x.dtype == torch.float64, x.shape[-2], x.shape[-1])
    if way == "svd":
        return polar_svd(x)
    if way == "zolotarev":
        return polar_zolotarev(x)
    if way == "halley":
        return polar_halley(x)
    half = has_bfloat16(x.device)
    dtype = torch.bfloat16 if half else x.dtype
    return polar_gram_newton_schulz(x, gram_steps(half), dtype, 2)


def gram_steps(half: bool) -> tuple[tuple[float, float, float], ...]:
    """Return the steps of Polar Express off CPUs: five for bfloat16, else seven."""
    steps = (
        (8.28721202, -23.5958865, 17.3003873),
        (4.10705911, -2.94784992, 0.54484311),
        (3.94869085, -2.90890212, 0.55181914),
        (3.31841966, -2.48848802, 0.51004895),
        (2.30065202, -1.66890398, 0.41880731),
        (1.89130141, -1.26799583, 0.37680409),
        (1.87500148, -1.25000165, 0.37500016),
    )
    # The largest singular value is 1 up to rounding, beyond which the first step grows steeply.
    safe = 1.01 if half else 1.001
    scaled = tuple((a / safe, b / safe**3, c / safe**5) for a, b, c in steps)
    return scaled[:5] if half else scaled


def root_way(device: str, exact: bool, p: float | None) -> bool:
    """Return whether S^p is computed by matrix products: off CPUs, for p = −1/r, r = 2, 3, ….

    Args:
        device: its type. exact: whether in float64. p: the exponent, if it is a number.
    """
    if device in ("cpu", "meta") or exact or p is None or not -0.6 < p < 0:
        return False
    return abs(p * round(-1 / p) + 1) < 1e-12


def root_automatic(s: Tensor, p: float | Tensor) -> Tensor:
    """Return s^p: by eigenvalues, or off CPUs by matrix products for p = −1/r, r = 2, 3, ….

    Eigenvalues of a batch are slow on GPUs, which find them one matrix after the other.
    """
    number = None if isinstance(p, Tensor) else p
    if root_way(s.device.type, s.dtype == torch.float64, number):
        assert number is not None
        return coupled_newton(s, number, 30)
    return symmetric_power(s, p)


def roots_automatic(s: Tensor, exponents: tuple[float | Tensor, ...]) -> tuple[Tensor, ...]:
    """Return s^p for each of several p, of one set of eigenvalues where none goes by products."""
    device, exact = s.device.type, s.dtype == torch.float64
    if any(root_way(device, exact, p) for p in exponents if not isinstance(p, Tensor)):
        return tuple(root_automatic(s, p) for p in exponents)
    return symmetric_powers(s, exponents)
