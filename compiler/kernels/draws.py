"""Random numbers that are functions of what they are for, not of what was drawn before.

Number i of the generator SplitMix64 (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195) that
starts at γ s is mixed(γ (s + i)): it needs no number before it. Streams are nested: a number of one
is the s of the next one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(x: Tensor) -> Tensor:
    """Return 64 bits that look random for each integer, one to one.

    The mask makes a shift of signed integers one of their bits; products lose what overflows.
    """
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def folded(stream: Tensor, number: Tensor) -> Tensor:
    """Return a number of a stream: 64 bits, and where another stream starts."""
    return mixed((stream + number) * -0x61C8864680B583EB)


def numbered(count: int, like: Tensor) -> Tensor:
    """Return the places 0, 1, … as a column, on the device of a tensor."""
    return torch.arange(count, device=like.device).unsqueeze(-1)


def drawn_bits(stream: Tensor, key: int, places: Tensor) -> Tensor:
    """Return 64 bits for each place, of the stream with this key inside a stream."""
    return folded(folded(stream, torch.full_like(stream, key)), places)


def drawn_normal(stream: Tensor, key: int, places: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a standard normal number for each place, by Box and Muller (1958).

    Of its 64 bits, half give the length of a pair of normal numbers, half its angle.
    """
    bits = drawn_bits(stream, key, places)
    length = (((bits >> 32) & 0xFFFFFFFF).to(dtype) + 0.5) * 2.0**-32
    angle = (bits & 0xFFFFFFFF).to(dtype) * (2 * torch.pi * 2.0**-32)
    return torch.sqrt(-2 * torch.log(length)) * torch.cos(angle)


def drawn_signs(stream: Tensor, key: int, places: Tensor, dtype: torch.dtype) -> Tensor:
    """Return −1 or 1 for each place, with equal chances."""
    return 2 * ((drawn_bits(stream, key, places) >> 63) & 1).to(dtype) - 1


def drawn_uniform(stream: Tensor, key: int, places: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a number strictly between 0 and 1 for each place, of 23 of its bits."""
    bits = (drawn_bits(stream, key, places) >> 41) & 0x7FFFFF
    return (bits.to(dtype) + 0.5) * 2.0**-23
