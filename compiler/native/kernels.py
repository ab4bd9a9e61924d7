"""Kernels: the native code of an entry-wise program, for CPUs in C++ and for GPUs in Triton."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

import torch

from normdsl.compiler.native import build
from normdsl.compiler.native.cpu import Cpu
from normdsl.compiler.native.gpu import Gpu
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.scalars import Scalars


@lru_cache(maxsize=256)
def kernel(
    scalars: Scalars,
    dtypes: tuple[torch.dtype, ...],
    computed: torch.dtype,
    device: str,
    chance: tuple[tuple[str, int], ...] = (),
) -> Kernel:
    """Return the kernel of an entry-wise program for a type of device.

    Args:
        scalars: what happens to an entry. dtypes: of its arrays, in order.
        computed: the dtype in which it happens. device: cpu or cuda.
        chance: the arrays that are rounded by chance, with their numbers, see `Kernel`.

    Raises:
        OSError: if it cannot be compiled.
    """
    told = dict(zip(scalars.arrays, dtypes, strict=True))
    made = Cpu if device == "cpu" else Gpu
    return made(scalars, told, computed, dict(chance))


def refusal(device: str) -> str | None:
    """Return why there is no native code for a type of device; None if there is."""
    if device == "cpu":
        return None if build.compiler() else "no C++ compiler was found"
    if device == "cuda":
        return None if find_spec("triton") else "triton is not installed"
    return f"there are no kernels for {device}"
