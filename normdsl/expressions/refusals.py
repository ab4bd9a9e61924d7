"""Why an expression is not a value: the habits of Python, numpy and torch that it refuses."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NoReturn

from normdsl.errors import DeclarationError

_NUMPY_OPERATORS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
    "matmul": "matmul",
}


#: What to write instead of the methods of a tensor.
_FUNCTIONS = {
    **{f: f"nd.{f}(x)" for f in ("abs", "exp", "inverse", "log", "max", "sign", "sqrt", "sum")},
    **{f: f"nd.{f}(x)" for f in ("tanh", "trace", "reciprocal")},
    **dict.fromkeys(("t", "mT", "H", "transpose"), "x.T"),
    "mean": "nd.sum(x) / (nd.rows * nd.cols)",
    "min": "-nd.max(-x)",
    "norm": "nd.frobenius.value(x), or the value of another norm",
    "pow": "x ** p",
    "square": "x ** 2",
}


class Symbolic:
    """Refuses, with the reason, every use that needs values which are not known yet."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise DeclarationError(
            "branch on the value of an expression",
            at=self,
            why="a declaration is traced once, before any value is known",
            hint="use nd.maximum, nd.minimum, nd.sign or nd.abs",
        )

    def __iter__(self) -> Iterator[Any]:
        raise DeclarationError(
            "iterate over an expression",
            at=self,
            why="its entries are not known when the declaration is traced",
            hint="use matrix operations, or nd.sum over an axis",
        )

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any, **__: Any) -> NoReturn:
        raise _foreign(function)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **_: Any) -> Any:
        """Take numpy's numbers as operands, and refuse numpy's functions and arrays."""
        operation = getattr(operator, _NUMPY_OPERATORS.get(function.__name__, ""), None)
        arrays = any(getattr(x, "ndim", 0) for x in inputs)
        if operation is None or method != "__call__" or len(inputs) != 2 or arrays:
            raise _foreign(function)
        return operation(*(x.item() if getattr(x, "ndim", None) == 0 else x for x in inputs))

    def _refuse_number(self) -> NoReturn:
        raise DeclarationError(
            "turn an expression into a number",
            at=self,
            why="its value is not known when the declaration is traced",
            hint="use nd.sqrt, nd.exp, … instead of functions of math",
        )

    __float__ = __int__ = __index__ = _refuse_number

    def _refuse_value(self, *_: Any) -> NoReturn:
        raise DeclarationError(
            "compare or index an expression",
            at=self,
            why="its entries are not known when the declaration is traced",
            hint="use nd.maximum, nd.minimum, nd.sign, or nd.sum over an axis",
        )

    __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = _refuse_value

    def _refuse_operator(self, *_: Any) -> NoReturn:
        raise DeclarationError(
            "apply an operator of whole numbers or of truth values to an expression",
            at=self,
            why="expressions are arrays of real numbers",
            hint="use +, -, *, /, **, @, nd.maximum and nd.sign",
        )

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _refuse_operator
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _refuse_operator
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __round__ = _refuse_operator

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse the methods of tensors, which are functions here."""
        if name in _FUNCTIONS:
            raise DeclarationError(
                f"call .{name} of an expression",
                at=self,
                why="an expression is no tensor, and has no methods",
                hint=f"write {_FUNCTIONS[name]}",
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _foreign(function: Any) -> DeclarationError:
    """Return the error for a function of numpy or torch called on an expression."""
    name = getattr(function, "__name__", str(function))
    return DeclarationError(
        f"apply {name} of another library to an expression",
        why="an expression is a formula; it has no values before the rule runs",
        hint=f"use nd.{name}, or operators such as +, *, @ on expressions and numbers",
    )
