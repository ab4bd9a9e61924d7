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
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}


#: What to write instead of the methods of a tensor, or of functions of torch and numpy.
_FUNCTIONS = {
    **{f: f"nd.{f}(x)" for f in ("abs", "exp", "inverse", "log", "max", "sign", "sqrt", "sum")},
    **{f: f"nd.{f}(x)" for f in ("cos", "tanh", "trace", "reciprocal", "cholesky")},
    **{f: f"nd.{f}(x, y)" for f in ("maximum", "minimum")},
    "where": "nd.where(x < y, a, b)",
    **dict.fromkeys(("t", "H", "transpose"), "x.T"),
    **dict.fromkeys(("mm", "matmul", "dot"), "x @ y"),
    **dict.fromkeys(("clamp", "clip"), "nd.clamp(x, low, high)"),
    "absolute": "nd.abs(x)",
    "matrix_power": "nd.matrix_power(x, p)",
    "mean": "nd.mean(x)",
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
            why="an expression is a formula, and has no values when the rule is declared",
            hint="use nd.where(x > 0, a, b), nd.maximum, nd.minimum, nd.sign or nd.abs",
        )

    def _refuse_equation(self, number: object) -> NoReturn:
        raise DeclarationError(
            f"branch on whether an expression is {number}",
            at=self,
            why="an expression is a formula, and has no values when the rule is declared",
            hint=f"write nd.where(nd.abs({_apart(number)}) > 0, a, b): a where they differ",
        )

    def __iter__(self) -> Iterator[Any]:
        raise DeclarationError(
            "iterate over an expression",
            at=self,
            why="an expression is a formula, and has no entries when the rule is declared",
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
            why="an expression is a formula, and has no value when the rule is declared",
            hint="use nd.sqrt, nd.exp, … instead of functions of math",
        )

    __float__ = __int__ = __index__ = _refuse_number

    def _refuse_order(self, *_: Any) -> NoReturn:
        raise DeclarationError(
            "compare a comparison",
            at=self,
            why="it is true or false at each entry, and neither of them is a number",
            hint="write nd.where(x < y, a, b), one inside another for several conditions",
        )

    __lt__ = __le__ = __gt__ = __ge__ = _refuse_order

    def __getitem__(self, index: Any) -> NoReturn:
        raise DeclarationError(
            "take entries of an expression",
            at=self,
            why="an expression is a formula, and has no entries when the rule is declared",
            hint='use the whole of it, or what nd.sum or nd.max makes of its rows: over="cols"',
        )

    def _refuse_operator(self, *_: Any) -> NoReturn:
        raise DeclarationError(
            "apply an operator of whole numbers or of truth values to an expression",
            at=self,
            why="an expression stands for real numbers, which have none",
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
                why="an expression is a formula, not a tensor: what is done to it are functions",
                hint=f"write {_FUNCTIONS[name]}",
            )
        raise AttributeError(
            f"an expression has no attribute {name!r}: what is done to one are functions, nd.sum(x)"
        )


def _apart(number: object) -> str:
    """Return what is zero where x is a number."""
    return "x" if number == 0 else f"x - {number}"


def _foreign(function: Any) -> DeclarationError:
    """Return the error for a function of numpy or torch called on an expression."""
    name = getattr(function, "__name__", str(function))
    own = _FUNCTIONS.get(name)
    return DeclarationError(
        f"apply {name} of another library to an expression",
        why="an expression is a formula, and has no values when the rule is declared",
        hint="use numbers, and +, -, *, /, **, @ and functions of normdsl"
        if own is None
        else f"write {own}",
    )
