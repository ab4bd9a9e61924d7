"""What torch does to one number, as C++ and as Triton write it.

Of operands that are numbers both give what torch gives, to the last bit but for `exp`, `log`,
`cos`, `tanh`, `cube_root` and `pow`, and for `sqrt` of many entries, which torch takes from MKL on
CPUs: there half a percent are rounded to the other neighbour, here all as IEEE 754 says.
"""

from __future__ import annotations

from typing import NamedTuple


class Operation(NamedTuple):
    """How an operation is written, with its operands as `{0}`, `{1}` and so on.

    Args:
        cpp: in C++, where `T` is the type of the computation. triton: in Triton.
    """

    cpp: str
    triton: str


def _same(code: str) -> Operation:
    return Operation(code, code)


OPERATIONS = {
    "copy": _same("{0}"),
    "add": _same("{0} + {1}"),
    "sub": _same("{0} - {1}"),
    "mul": _same("{0} * {1}"),
    "div": Operation("{0} / {1}", "divided({0}, {1})"),
    "neg": _same("-{0}"),
    "eq": _same("{0} == {1}"),
    "gt": _same("{0} > {1}"),
    "lt": _same("{0} < {1}"),
    "ge": _same("{0} >= {1}"),
    "le": _same("{0} <= {1}"),
    "where": Operation("{0} ? {1} : {2}", "tl.where({0}, {1}, {2})"),
    "abs": Operation("absolute({0})", "tl.abs({0})"),
    "sqrt": Operation("root({0})", "rooted({0})"),
    "sign": Operation(
        "T({0} > 0) - T({0} < 0)", "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, 0.0))"
    ),
    "maximum": Operation(
        "({0} > {1} || {0} != {0}) ? {0} : {1}",
        "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    ),
    "exp": Operation("exponential({0})", "tl.exp({0})"),
    "log": Operation("logarithm({0})", "tl.log({0})"),
    "cos": Operation("cosine({0})", "tl.cos({0})"),
    "tanh": Operation("tangent({0})", "2.0 / (1.0 + tl.exp(-2.0 * {0})) - 1.0"),
    "cube_root": Operation("cube_root({0})", "tl.exp2(tl.log2({0}) / 3)"),
    "pow": Operation("power({0}, {1})", "tl.exp2({1} * tl.log2({0}))"),
}
