"""Symmetric products by quack-kernels, on NVIDIA GPUs from Hopper on: half the work of a product.

Emitted code has torch's own `products.symmetric_product`, which is what an ejected file keeps;
where the optional package is installed, normdsl calls the function of this module instead.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata

import torch
from torch import Tensor

from normdsl.compiler.kernels import products

#: The distribution, and its first version of which this module knows the interface.
PACKAGE, FIRST = "quack-kernels", (0, 4)
#: Up to this size a result is a tile or two, of which there is nothing to leave out.
SMALL = 256


@lru_cache(maxsize=1)
def refusal() -> str | None:
    """Return why quack-kernels cannot be used by this installation; None if it can."""
    try:
        found = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return f"{PACKAGE} is not installed (pip install 'normdsl[hopper]')"
    known = tuple(int(x) for x in found.split(".")[:2] if x.isdecimal()) >= FIRST
    return None if known else f"{PACKAGE} {found} is older than {'.'.join(map(str, FIRST))}"


def unfit(device: torch.device, dtype: torch.dtype, rows: int, inner: int) -> str | None:
    """Return why a product of rows × inner by inner × rows is not quack's; None if it is.

    In single precision its products are rounded to TF32; memory is read by 16 bytes at once.
    """
    if device.type != "cuda" or torch.cuda.get_device_properties(device).major < 9:
        return "the device is no GPU of NVIDIA's from Hopper on"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"it is in {str(dtype).removeprefix('torch.')}, not in 16 bits"
    if rows <= SMALL:
        return f"matrices up to {SMALL} are one tile"
    return None if rows % 8 == inner % 8 == 0 else "a side is no multiple of 8"


def symmetric_product(
    a: Tensor, b: Tensor, base: Tensor | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """Return a b, or β base + α a b, which is known to be symmetric: by quack where it fits.

    Raises:
        ImportError: if quack-kernels is installed, but not what it needs.
    """
    if unfit(a.device, a.dtype, a.shape[-2], a.shape[-1]):
        return products.symmetric_product(a, b, base, beta, alpha)
    from quack.gemm_interface import gemm_symmetric  # its import takes seconds, and a GPU

    if base is None:
        return gemm_symmetric(a, b)
    return gemm_symmetric(a, b, base, alpha=float(alpha), beta=float(beta))
