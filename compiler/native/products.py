"""Products on CPUs in C++, where the library that torch calls is slow.

MKL has no code of its own for AVX-512 of other makers' processors: there it takes twice as long.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from normdsl.compiler.kernels import products, sums
from normdsl.compiler.kernels.products import in_place
from normdsl.compiler.native import build, panels, tiles

#: The least side of factors and product for which it takes less time.
LEAST = 48


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b; see `kernels.products`."""
    if not _may(a, b):
        return products.matrix_product(a, b)
    found = a.new_empty(len(a), a.shape[-2], b.shape[-1])
    return _multiplied(a, b, None, 0.0, 1.0, found, symmetric=False)


def symmetric_product(
    a: Tensor, b: Tensor, base: Tensor | None = None, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """Return a b, or β base + α a b, which is known to be symmetric; see `kernels.products`."""
    if not _may(a, b) or not _may_add(a, b, base):
        return products.symmetric_product(a, b, base, beta, alpha)
    alpha = 1.0 if base is None else alpha
    found = a.new_empty(len(a), a.shape[-2], b.shape[-1])
    return _multiplied(a, b, base, beta, alpha, found, symmetric=True)


def _summed(
    symmetric: bool,
    base: Tensor,
    x: Tensor,
    y: Tensor,
    beta: float | Tensor = 1,
    alpha: float | Tensor = 1,
    into: Tensor | None = None,
) -> Tensor:
    """Return beta base + alpha x y; see `kernels.sums`."""
    beta, alpha = sums.as_read(beta), sums.as_read(alpha)
    plain = not (isinstance(beta, Tensor) or isinstance(alpha, Tensor)) and alpha != 0
    if not plain or not _may(x, y) or not _may_add(x, y, base):
        kernel = sums.plus_symmetric if symmetric else sums.plus_product
        return kernel(base, x, y, beta, alpha, into)
    found = torch.empty_like(base, memory_format=torch.contiguous_format) if into is None else into
    if not found.is_contiguous():
        return sums.plus_product(base, x, y, beta, alpha, into)
    return _multiplied(x, y, base, float(beta), float(alpha), found, symmetric)


#: Of any base and product, and where both are known to be symmetric.
plus_product, plus_symmetric = partial(_summed, False), partial(_summed, True)
#: What is computed here, by the names of kernels.
WAYS: dict[str, Callable[..., Tensor]] = {
    "matrix_product": matrix_product,
    "symmetric_product": symmetric_product,
    "plus_product": plus_product,
    "plus_symmetric": plus_symmetric,
}


def _may(a: Tensor, b: Tensor) -> bool:
    """Return whether a product is formed here: of plain batches that nothing traces."""
    if not (in_place(a) and in_place(b) and type(a) is Tensor and type(b) is Tensor):
        return False
    if a.device.type != "cpu" or a.dtype != torch.float32 or b.dtype != a.dtype:
        return False
    if a.ndim != 3 or b.ndim != 3 or len(a) != len(b):
        return False
    sides = (*a.shape[-2:], b.shape[-1])
    return min(sides) >= LEAST and 1 in a.stride()[1:] and 1 in b.stride()[1:]


def _may_add(a: Tensor, b: Tensor, base: Tensor | None) -> bool:
    """Return whether a base can be added to a product."""
    if base is None:
        return True
    shape = (len(a), a.shape[-2], b.shape[-1])
    plain = type(base) is Tensor and base.dtype == a.dtype and base.shape == shape
    return plain and base.stride(-1) == 1 and in_place(base)


def _multiplied(
    a: Tensor,
    b: Tensor,
    base: Tensor | None,
    beta: float,
    alpha: float,
    found: Tensor,
    symmetric: bool,
) -> Tensor:
    count, m, depth = a.shape
    n = b.shape[-1]
    views = [(x.data_ptr(), *x.stride()) if x is not None else (0, 0, 0, 0) for x in (a, b, base)]
    told = (ctypes.c_int64 * 12)(*(number for view in views for number in view))
    threads = torch.get_num_threads()
    _function()(count, m, n, depth, told, alpha, beta, found.data_ptr(), symmetric, threads)
    return found


@lru_cache(maxsize=1)
def refusal() -> str | None:
    """Return why products are left to torch on this machine; None if they are not."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "the processor has no AVX-512"
    mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if not mkl or "GenuineIntel" in _maker():
        return "the library that torch calls is made for the processor"
    try:
        _function()
    except OSError as error:
        return str(error).splitlines()[0]
    return None


def _maker() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((x for x in lines if x.startswith("vendor_id")), "")


@lru_cache(maxsize=1)
def _function() -> Callable[..., None]:
    """Return `products(count, m, n, depth, views, alpha, beta, c, symmetric, threads)` in C++.

    Raises:
        OSError: if it cannot be compiled.
    """
    found = build.build(tiles.SOURCE + panels.SOURCE).products
    long, real, whole = ctypes.c_int64, ctypes.c_float, ctypes.c_int
    found.argtypes = [long] * 4 + [ctypes.c_void_p, real, real, ctypes.c_void_p, whole, whole]
    found.restype = None
    return found
