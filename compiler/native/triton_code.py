"""Native code of GPUs: an entry-wise program as one Triton kernel over a table of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from normdsl.compiler.native.kernel import draws
from normdsl.compiler.native.operations import OPERATIONS
from normdsl.compiler.native.scalars import Operand, Scalars

#: Divisions and roots are rounded as IEEE 754 says, which memory leaves time for.
_HEAD = """\
import triton
import triton.language as tl


@triton.jit
def divided(x, y):
    x, y = tl.broadcast(x, y)
    return tl.div_rn(x, y) if x.dtype == tl.float32 else x / y


@triton.jit
def rooted(x):
    return tl.sqrt_rn(x) if x.dtype == tl.float32 else tl.sqrt(x)


@triton.jit
def tangent(x):
    square = x * x
    near = x * (1 - square * (1.0 / 3 - square * (2.0 / 15)))
    return tl.where(square < 1e-3, near, 2 / (1 + tl.exp(-2 * x)) - 1)


# A number of the generator SplitMix64, and x rounded by chance: see kernels/draws.py, rounding.py.
@triton.jit
def drawn(x):
    x = x * -0x61C8864680B583EB
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@triton.jit
def by_chance(x, noise):
    cut = x.to(tl.int32, bitcast=True) + (noise & 0xFFFF).to(tl.int32)
    return tl.where(x * 0 == 0, (cut & -0x10000).to(tl.float32, bitcast=True), x)


@triton.jit
def pointer(table, row, of, KIND: tl.constexpr, ALIGNED: tl.constexpr):
    found = tl.load(table + row * of[1] + of[0]).to(tl.pointer_type(KIND))
    return tl.multiple_of(found, 16) if ALIGNED else found
"""

_LARGEST = """

@triton.jit
def largest(member, first, last, table, count, found,
            KIND: tl.constexpr, T: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    b = tl.program_id(0)
    k = tl.load(member + b)
    at = tl.load(first + b) + tl.arange(0, BLOCK)
    inside = at < tl.load(last + b)
    x = tl.load(pointer(table, 0, (k, count), KIND, ALIGNED) + at, mask=inside, other=0).to(T)
    big = tl.max(tl.abs(x), 0) + tl.sum(x * 0, 0)
    tl.store(found + b, big.to(tl.float64))
"""


def written(
    scalars: Scalars,
    dtypes: Mapping[str, torch.dtype],
    computed: torch.dtype,
    chance: Mapping[str, int],
) -> str:
    """Return the source of `step` and `largest`, the functions that `cpp.written` describes.

    Args:
        scalars: what happens to an entry. dtypes: of each of its arrays.
        computed: the dtype in which it happens, float32 or float64.
        chance: the arrays that are rounded by chance, with their numbers, see `Kernel`.
    """
    kinds = {name: _name(dtypes[name]) for name in scalars.arrays}
    numbers = [f"n{k} = tl.load(own + {k}).to(T)" for k in range(len(scalars.numbers))]
    pointers = [
        f"p{name} = pointer(table, {k}, (k, count), {kinds[name]}, ALIGNED) + at"
        for k, name in enumerate(scalars.arrays)
        if name in scalars.read or name in dict(scalars.stored)
    ]
    reads = [f"{k} = tl.load(p{k}, mask=inside, other=0).to(T)" for k in scalars.read]
    body = [f"{x.name} = {_code(x.operation, x.operands)}" for x in scalars.lines]
    fours = draws(chance)
    drawn = [f"draw{k} = drawn(tl.load(keys + k * {fours} + {k}) + at)" for k in range(fours)]
    stores = []
    for name, new in scalars.stored:
        value = f"at * 0 + {_operand(new)}"
        if name in chance:
            four, place = divmod(chance[name], 4)
            value = f"by_chance(({value}).to(tl.float32), draw{four} >> {16 * place})"
        stores += [
            f"new = ({value}).to({kinds[name]})",
            "wrong += tl.where(inside, new.to(T) * 0, 0)",
            f"if WRITE: tl.store(p{name}, new, mask=inside)",
        ]
    lines = [
        "b = tl.program_id(0)",
        "k = tl.load(member + b)",
        "at = tl.load(first + b) + tl.arange(0, BLOCK)",
        "inside = at < tl.load(last + b)",
        "if MASKED: inside = inside & (tl.full((BLOCK,), tl.load(ok + k), tl.int8) != 0)",
        "own = numbers + k * row",
        *numbers,
        *pointers,
        *reads,
        *body,
        *drawn,
        "wrong = tl.zeros((BLOCK,), T)",
        *stores,
        "tl.store(good + k, 0, mask=tl.sum(wrong, 0) != 0)",
    ]
    head = (
        "\n\n@triton.jit\ndef step(member, first, last, table, count, numbers, row, keys,\n"
        "         ok, good, T: tl.constexpr, MASKED: tl.constexpr, WRITE: tl.constexpr,\n"
        "         ALIGNED: tl.constexpr, BLOCK: tl.constexpr):\n"
    )
    return _HEAD + _LARGEST + head + "".join(f"    {line}\n" for line in lines)


def _code(operation: str, operands: tuple[Operand, ...]) -> str:
    return OPERATIONS[operation].triton.format(*map(_operand, operands))


def _operand(x: Operand) -> str:
    return x if isinstance(x, str) else f"tl.full((), {x!r}, T)"


def _name(dtype: torch.dtype) -> str:
    return f"tl.{str(dtype).removeprefix('torch.')}"


def kind(dtype: torch.dtype) -> Any:
    """Return what Triton calls a dtype."""
    import triton.language as tl

    return getattr(tl, str(dtype).removeprefix("torch."))
