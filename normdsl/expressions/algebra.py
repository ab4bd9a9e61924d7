"""What the operators of expressions build: `+`, `*`, `**`, `@`, `abs`, `.T` and `<`."""

from __future__ import annotations

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.arithmetic import add, mul, power
from normdsl.expressions.nodes.choice import compare
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.nodes.entrywise import absolute
from normdsl.expressions.nodes.products import matmul, transpose


class Operators:
    """The constructors by which expressions calculate."""

    as_expr = staticmethod(as_expr)
    add = staticmethod(add)
    mul = staticmethod(mul)
    power = staticmethod(power)
    absolute = staticmethod(absolute)
    matmul = staticmethod(matmul)
    transpose = staticmethod(transpose)
    compare = staticmethod(compare)


Expr.algebra = Operators()
