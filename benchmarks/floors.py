"""Floors: the least time that a step could take on this machine, from rates measured beside it.

A step has to move bytes and to multiply matrices: floor = bytes / bandwidth + FLOPs / rate. Both
rates are measured in every round, between the steps, so that they see the noise that steps see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from math import prod

import attrs
import torch

from normdsl.benchmarks.sets import Shape

#: Largest vector of which bandwidth is measured: it is longer than any cache.
LONGEST = 2**28
#: Side of the matrices, by device, of which products are measured in float32; twice in bfloat16.
SIDE = {"cpu": 1024, "cuda": 4096}
#: A probe is timed so many times in a row, and the quickest counts.
REPEATS = 4


@attrs.frozen
class Work:
    """What one step of a rule has to do at least.

    Args:
        states: entries kept for each entry of the weights.
        flops: of matrix products, for one matrix of short side m and long side n.
        half: whether its products run in bfloat16 on a GPU.
    """

    states: float
    flops: Callable[[int, int], float] = lambda m, n: 0.0
    half: bool = False

    def bytes(self, shapes: Iterable[Shape]) -> float:
        """Read the gradient, read and write weights and states once, in float32.

        AdamW has two states: 4 (1 + 2 + 2 · 2) = 28 bytes an entry.
        """
        return 4 * (3 + 2 * self.states) * sum(map(prod, shapes))

    def total(self, shapes: Iterable[Shape]) -> float:
        """Return the FLOPs of all matrices."""
        return sum(self.flops(*sorted(s)) for s in shapes if len(s) == 2)


@attrs.frozen
class Rates:
    """What the machine does in a second: bytes moved, FLOPs in float32 and in bfloat16.

    Bandwidth is that of y ← y + x, two reads and a write in place, the mix of an optimizer's step.
    """

    bandwidth: float
    single: float
    half: float | None = None

    def floor(self, work: Work, shapes: tuple[Shape, ...]) -> float:
        """Return the seconds that a step takes at least."""
        rate = self.half if work.half and self.half else self.single
        return work.bytes(shapes) / self.bandwidth + work.total(shapes) / rate


def five_products(m: int, n: int) -> float:
    """FLOPs of five quintic Newton–Schulz steps, on X or on X Xᵀ, whichever is less."""
    return min(20 * m * m * n + 10 * m**3, 4 * m * m * n + 34 * m**3)


def rotations(m: int, n: int) -> float:
    """FLOPs of SOAP: two statistics, to the basis and back; a QR step of both every tenth time."""
    return 6 * m * n * (m + n) + (2 + 8 / 3) * (m**3 + n**3) / 10


def both_sides(m: int, n: int) -> float:
    """FLOPs of Shampoo: two statistics and two products; its roots are not counted."""
    return 4 * m * n * (m + n)


class Probes:
    """The probes of a machine, for steps on so many entries."""

    def __init__(self, entries: int, device: str) -> None:
        self.device = device
        self.x, self.y = torch.randn(2, min(entries, LONGEST), device=device).unbind()
        side = SIDE[device]
        self.single = _square(side, device, torch.float32)
        self.half = _square(2 * side, device, torch.bfloat16) if has_half(device) else None

    def measure(self) -> Rates:
        """Return the rates of now."""
        x, y, half = self.x, self.y, self.half
        return Rates(
            bandwidth=self._rate(lambda: y.add_(x), 12.0 * len(x)),
            single=self._multiply(self.single),
            half=None if half is None else self._multiply(half),
        )

    def _multiply(self, a: torch.Tensor) -> float:
        return self._rate(lambda: torch.mm(a, a), 2.0 * len(a) ** 3)

    def _rate(self, work: Callable[[], object], amount: float) -> float:
        work()
        return amount / min(seconds(work, self.device) for _ in range(REPEATS))


def _square(side: int, device: str, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(side, side, device=device).to(dtype)


def has_half(device: str) -> bool:
    """Return whether contestants multiply in bfloat16: on GPUs that can; CPUs keep float32."""
    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def wait(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: str) -> float:
    """Return how long some work takes, with all of it done."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start
