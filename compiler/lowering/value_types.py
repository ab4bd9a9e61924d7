"""Types: what expressions are in the emitted code, numbers or tensors."""

from __future__ import annotations

import enum
from collections.abc import Container

from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Source
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.traversal import Pass


class Type(enum.IntEnum):
    """The type of an expression in the emitted code."""

    NUMBER = 0  # a Python number, known from the shape
    HYPER = 1  # a number or a scalar tensor, made of hyper-parameters
    CLOCK = 2  # a tensor, made of the step index
    ARRAY = 3  # a batch of matrices in the dtype of W


class Types(Pass[Type]):
    """The types of expressions, remembered.

    Args:
        inputs: what the emitted function is given, in tensors.
        numbers: what it is given in numbers or scalar tensors.
    """

    def __init__(self, inputs: Container[Expr], numbers: Container[Expr] = ()) -> None:
        super().__init__()
        self._inputs, self._numbers = inputs, numbers

    def _visit(self, expr: Expr) -> Type:
        if expr in self._inputs:
            return Type.ARRAY
        if expr in self._numbers:
            return Type.HYPER
        match expr:
            case Constant():
                return Type.NUMBER if expr.shape == SCALAR else Type.ARRAY
            case nodes.Param():
                return Type.HYPER
            case nodes.Stream(source=Source.STEP):
                return Type.CLOCK
            case nodes.Stream(source=Source.ROWS | Source.COLS) | nodes.Extent():
                return Type.NUMBER
            case nodes.Stream() | nodes.Eye() | nodes.Draw() | nodes.Query() | nodes.Dct():
                return Type.ARRAY
            case nodes.WorkersMean():
                return Type.ARRAY
            case _:
                return max(self(child) for child in expr.children)
