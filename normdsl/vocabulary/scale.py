"""Scales: the conventions for the factor between a learning rate and a step direction.

    return W + lr * nd.scale.shape * nd.spectral.lmo(u)

Each is a formula of m = `nd.rows` and n = `nd.cols`, the lengths of the matrix that the norm sees:
a filter is seen as outputs × the rest. A rate tuned under one convention is turned into that of
another by `nd.scale.convert`; docs/scales.md lists who uses which, and what they do to a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Source, Stream
from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.shapes import SCALAR, are_lengths
from normdsl.expressions.streams import cols, rows
from normdsl.near import module_face
from normdsl.show.grid import Grid
from normdsl.show.latex import latex
from normdsl.vocabulary.entrywise import maximum, sqrt


@attrs.frozen(repr=False)
class Scale:
    """A factor that depends on the shape of W alone; multiplies expressions, norms and numbers.

    Args:
        name: its name. factor: a formula of `nd.rows`, `nd.cols` and numbers, above 0.
        reference: where it comes from.

    Example:
        >>> import normdsl as nd
        >>> nd.scale.shape
        <scale shape: √max(1, m / n)>
        >>> nd.scale.shape.at((256, 64))
        2.0
    """

    name: str
    factor: Expr = attrs.field(converter=as_expr)
    reference: str = ""

    def __attrs_post_init__(self) -> None:
        if self.factor.shape != SCALAR:
            raise ShapeError(
                f"scale steps by {self.factor.shape.phrase}",
                at=self.factor,
                why="a scale is one number per matrix",
                hint="use nd.preconditioned(norm, hadamard=…) for factors of the entries",
            )
        # One shape, not square, shows here already whether it is a formula of m and n.
        self.at((2, 3))

    def at(self, shape: Sequence[int]) -> float:
        """Return the factor for a matrix of m × n entries.

        Raises:
            ShapeError: if the shape is not two positive whole numbers.
            DeclarationError: if it is not a formula of the lengths of W, or not above 0 and finite.
        """
        if not are_lengths(shape):
            raise ShapeError(
                f"evaluate the scale {self.name} for shape {shape}",
                why="m and n are the lengths of the matrix that the norm sees",
                hint="pass (out, in); flatten a filter first: (out, in * height * width)",
            )
        value = _value(self.factor, *shape)
        if 0 < value < math.inf:
            return value
        raise DeclarationError(
            f"use the scale {self.name}",
            at=self.factor,
            why=f"it is {value:g} for shape {tuple(shape)}, and would stop, turn or spoil the step",
            hint="a scale is above 0 and finite for every shape",
        )

    def __expr__(self) -> Expr:
        return self.factor

    def __mul__(self, other: Any) -> Any:
        return self.factor * other

    def __rmul__(self, other: Any) -> Any:
        return other * self.factor

    def __truediv__(self, other: Any) -> Any:
        return self.factor / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.factor

    def __str__(self) -> str:
        return str(self.factor)

    def __repr__(self) -> str:
        return f"<scale {self.name}: {self.factor}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex(self.factor)}$"


def _value(expr: Expr, m: int, n: int) -> float:
    """Return the value of a formula of the lengths m and n."""
    match expr:
        case Constant(value=value):
            return float(value)
        case Stream(source=Source.ROWS):
            return float(m)
        case Stream(source=Source.COLS):
            return float(n)
        case Add(left=x, right=y):
            return _value(x, m, n) + _value(y, m, n)
        case Mul(left=x, right=y):
            return _value(x, m, n) * _value(y, m, n)
        case Pow(base=x, exponent=p):
            return _power(expr, _value(x, m, n), _value(p, m, n))
        case nodes.Maximum(left=x, right=y):
            return max(_value(x, m, n), _value(y, m, n))
        case nodes.Where(relation=relation, left=x, right=y):
            holds = relation.holds(_value(x, m, n), _value(y, m, n))
            return _value(expr.yes if holds else expr.no, m, n)
    raise DeclarationError(
        "use a scale",
        at=expr,
        why="a scale is a formula of numbers, nd.rows, nd.cols, +, *, /, **, nd.maximum, nd.where",
        hint="multiply the step by it directly: lr * factor * norm.lmo(u)",
    )


def _power(expr: Expr, base: float, exponent: float) -> float:
    """Return the value of a power.

    Raises:
        DeclarationError: for 1 / 0, and for what overflows.
    """
    try:
        return float(base**exponent)
    except ArithmeticError as error:
        raise DeclarationError(
            "use a scale",
            at=expr,
            why=f"{base:g} to the power {exponent:g} is too large for floating point, or not real",
            hint="a scale is above 0 and finite for every shape",
        ) from error


#: 1: the bare LMO.
none = Scale("none", 1, "Crawshaw et al., 2025, arXiv:2510.09827")
#: √max(1, m/n): Jordan's Muon.
shape = Scale("shape", sqrt(maximum(1, rows / cols)), "Jordan et al., 2024")
#: √(m/n): an LMO of the spectral norm times it is one of RMS → RMS, the scaling of μP.
spectral = Scale(
    "spectral", sqrt(rows / cols), "Yang et al., 2023, arXiv:2310.17813; arXiv:2410.21265"
)
#: The same as `spectral`.
mup = spectral
#: √max(m, n): a polar factor of full rank times it has entries of root mean square 1.
unit_rms = Scale("unit_rms", sqrt(maximum(rows, cols)), "arXiv:2502.16982, before its 0.2")
#: 0.2 √max(m, n): the root mean square that steps of AdamW have in training.
match_adamw_rms = Scale(
    "match_adamw_rms", 0.2 * sqrt(maximum(rows, cols)), "Liu et al., 2025, arXiv:2502.16982"
)
#: 2/(m + n): one over the mean length, for steps of signs.
mean_length = Scale("mean_length", 2 / (rows + cols), "Frans et al., 2025, arXiv:2506.07254")
#: 1/n: one over the number of inputs, for steps of signs.
fan_in = Scale("fan_in", 1 / cols, "Pethick et al., 2025, arXiv:2502.07529")
#: 1/√n: for rows of length 1.
root_fan_in = Scale("root_fan_in", 1 / sqrt(cols), "Pethick et al., 2025, arXiv:2502.07529")
#: √m: for columns of length 1, and the spectral norm of a layer whose inputs have length 1.
root_fan_out = Scale("root_fan_out", sqrt(rows), "Pethick et al., 2025, arXiv:2502.07529")

ALL = (
    none,
    shape,
    spectral,
    unit_rms,
    match_adamw_rms,
    mean_length,
    fan_in,
    root_fan_in,
    root_fan_out,
)

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face(
        "nd.scale",
        (*(x.name for x in ALL), "mup", "convert", "table", "conversions", "Scale"),
        ("ALL",),
    )


def convert(lr: float, source: Scale, target: Scale, shape: Sequence[int]) -> float:
    """Return the rate under `target` that steps as far as `lr` does under `source`.

    lr · s_source(m, n) / s_target(m, n): one rate for all layers becomes one for each shape,
    unless both factors have the same shape dependence. Decay that is multiplied by the rate
    changes along with it: divide λ by the same factor to keep it.

    Example:
        >>> import normdsl as nd
        >>> nd.scale.convert(0.02, nd.scale.shape, nd.scale.spectral, (64, 256))
        0.04
    """
    return lr * source.at(shape) / target.at(shape)


def table(*shapes: Sequence[int], scales: Sequence[Scale] = ALL) -> Grid:
    """Return a table of the factors of all scales for matrices of some shapes.

    Example:
        >>> import normdsl as nd
        >>> print(nd.scale.table((256, 64), scales=[nd.scale.shape, nd.scale.fan_in]))
        scale   factor          256 × 64
        shape   √max(1, m / n)  2
        fan_in  1 / n           0.01562
    """
    head = ["scale", "factor", *(f"{m} × {n}" for m, n in shapes)]
    return Grid(head, [[s.name, str(s), *(f"{s.at(x):.4g}" for x in shapes)] for s in scales])


def conversions(shape: Sequence[int], scales: Sequence[Scale] = ALL) -> Grid:
    """Return a table of factors that turn a rate of the row's scale into one of the column's.

    Example:
        >>> import normdsl as nd
        >>> print(nd.scale.conversions((64, 256), scales=[nd.scale.shape, nd.scale.spectral]))
        from ↓ to →  shape  spectral
        shape        1      2
        spectral     0.5    1
    """
    head = ["from ↓ to →", *(s.name for s in scales)]
    cells = [[f"{convert(1.0, s, target, shape):.4g}" for target in scales] for s in scales]
    return Grid(head, [[s.name, *row] for s, row in zip(scales, cells, strict=True)])
