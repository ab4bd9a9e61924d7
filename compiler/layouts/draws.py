"""Draws: the streams that a parameter's random numbers are taken from, and their places there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from normdsl.compiler.kernels.draws import folded, mixed
from normdsl.compiler.layouts.layout import Layout
from normdsl.compiler.sharding.boxes import Box, whole


def origin(seed: int | Tensor, name: str, device: torch.device) -> Tensor:
    """Return where the random numbers of a parameter start: that of its seed and its name.

    Args:
        seed: of its group. name: of the parameter, or its position. device: where it is.
    """
    start = hashed(name)
    if isinstance(seed, Tensor):
        return mixed(seed.to(device, torch.int64) + start)
    return mixed(torch.full((), _signed(seed + start), dtype=torch.int64, device=device))


def stream(origin: Tensor, step: Tensor) -> Tensor:
    """Return the stream of one step of a parameter."""
    return folded(origin, step.to(torch.int64))


def places(layout: Layout, device: torch.device) -> Sequence[Tensor]:
    """Return the place of each entry of a parameter, in the matrices of each piece it is seen as.

    It is the entry's number in the parameter itself, whatever the view; so that a part of it, on
    another device, has the same random numbers.
    """
    shape = (layout.whole or layout).shape
    return layout.view.pieces(numbered(shape, layout.share or whole(shape), device))


def number(shape: Sequence[int], share: Box, entry: Tensor) -> Tensor:
    """Return the numbers in a tensor of entries of a box, by their numbers in the box."""
    found = torch.zeros_like(entry)
    for k in reversed(range(len(share))):
        first, length = share[k]
        found += (first + entry % max(1, length)) * math.prod(shape[k + 1 :])
        entry = entry // max(1, length)
    return found


def numbered(shape: Sequence[int], share: Box, device: torch.device) -> Tensor:
    """Return the numbers of the entries of a box of a tensor, in the order of all its entries."""
    found = torch.zeros((), dtype=torch.int64, device=device)
    for k, (first, length) in enumerate(share):
        step = math.prod(shape[k + 1 :])
        found = found.unsqueeze(-1) + torch.arange(first, first + length, device=device) * step
    return found


def hashed(name: str) -> int:
    """Return 64 bits for a text, by FNV-1a (Fowler, Noll and Vo) of its characters."""
    bits = 0xCBF29CE484222325
    for character in name:
        bits = ((bits ^ ord(character)) * 0x100000001B3) % 2**64
    return _signed(bits)


def _signed(bits: int) -> int:
    """Return the integer of torch with these bits, as far as it holds them."""
    return (bits + 2**63) % 2**64 - 2**63
