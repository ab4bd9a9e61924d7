"""Gradients that do not depend on the weights: linear losses, exact in every floating format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.audit.runs import Loss

#: The gradients of all parameters at a step, in float64.
Stream = Callable[[int], Sequence[Tensor]]


def exact_normal(shape: tuple[int, ...], seed: Sequence[int]) -> Tensor:
    """Return normal numbers with 5 significant bits: bfloat16, float16 and wider hold them."""
    return _drawn(tuple(shape), tuple(seed)).clone()


@lru_cache(maxsize=1024)  # every probe asks for the same few gradients
def _drawn(shape: tuple[int, ...], seed: tuple[int, ...]) -> Tensor:
    drawn = np.random.default_rng(seed).standard_normal(shape)
    mantissa, exponent = np.frexp(drawn)
    rounded = np.ldexp(np.round(mantissa * 32) / 32, np.maximum(exponent, -6))
    return torch.as_tensor(rounded, dtype=torch.float64)


def gradients(shapes: Sequence[tuple[int, ...]], seed: int, size: float) -> Stream:
    """Return a stream of random gradients with entries of about `size`, a power of two."""

    def stream(step: int) -> list[Tensor]:
        return [size * exact_normal(s, (seed, step, k)) for k, s in enumerate(shapes)]

    return stream


def linear(stream: Stream, offset: float = 1.0) -> Loss:
    """Return the loss `offset` + Σ ⟨G_t, W⟩, whose gradient at step t is G_t, bit for bit."""

    def loss(params: Sequence[Tensor], step: int) -> Tensor:
        pairs = zip(params, stream(step), strict=True)
        return torch.stack([(p * g.to(p.dtype)).sum() for p, g in pairs]).sum() + offset

    return loss
