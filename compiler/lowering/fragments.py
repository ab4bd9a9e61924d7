"""Text: numbers, lengths, inputs and brackets as they are written in emitted code."""

from __future__ import annotations

import math
from fractions import Fraction

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Distribution, Draw, Param, Source, Stream
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import Dim, Length, Size, Space
from normdsl.expressions.streams import MOMENTS, called
from normdsl.show.notation import Level, Piece

#: Names of the lengths in emitted code.
_LENGTH = {Dim.ONE: "1", Dim.M: "rows", Dim.N: "cols", Dim.MN: "rows * cols"}
#: The places of rows, columns and matrices, as a column: those of their first entries.
PLACES = {
    Dim.ONE: "places[..., :1, :1]",
    Dim.M: "places[..., :1]",
    Dim.N: "places[..., :1, :].mT",
}
#: Names of the inputs.
STREAMS = {
    Source.GRADIENT: "G",
    Source.WEIGHTS: "W",
    Source.STEP: "t",
    Source.LOSS: "loss",
    Source.ROWS: "rows",
    Source.COLS: "cols",
    **MOMENTS,
}


def stream_name(stream: Stream) -> str:
    """Return the name of an input, as that of the weights of a parameter A: A_W."""
    beside = stream.port is not None and stream.port.name
    return called(stream.source, beside) if beside else STREAMS[stream.source]


def length(dim: Length) -> str:
    """Return the code of a length; there are no more directions than rows or columns."""
    match dim:
        case Space():
            return f"len_{dim.name}"
        case Size():
            return str(dim.number)
        case Dim():
            return _LENGTH[dim]
    if dim.share:
        return _share(dim.size)
    return f"min({dim.size.name if isinstance(dim.size, Param) else dim.value}, rows, cols)"


def _share(size: Expr) -> str:
    """Return the code of ⌈size · min(rows, cols)⌉, in whole numbers where the size is one."""
    if isinstance(size, Param):
        return f"-int(-{size.name} * min(rows, cols) // 1)"
    assert isinstance(size, Constant), "a share is a number or a hyper-parameter"
    return f"-(-{size.value.numerator} * min(rows, cols) // {size.value.denominator})"


def drawn_key(draw: Draw) -> int:
    """Return what tells a draw of a rule apart from the others: its key, kind and shape."""
    sides = (Dim.ONE, Dim.M, Dim.N, Dim.K)
    kind = list(Distribution).index(draw.distribution)
    axes = (x if isinstance(x, Dim) else Dim.K for x in (draw.dims.rows, draw.dims.cols))
    rows, cols = (sides.index(x) for x in axes)
    key = ((draw.key * len(Distribution) + kind) * len(sides) + rows) * len(sides) + cols
    return key % 2**62


def axes_of(over_rows: bool, over_cols: bool) -> str:
    """Return the axes of torch that a sum or maximum runs over."""
    return str(tuple(axis for axis, on in ((-2, over_rows), (-1, over_cols)) if on))


def floating(value: float) -> str:
    """Return the code of a floating number."""
    return "torch.inf" if math.isinf(value) else repr(value)


def bracketed(piece: Piece, level: Level) -> str:
    """Return the code of an operand, in brackets where it binds less than `level`."""
    return piece.text if piece.level >= level else f"({piece.text})"


def rational(value: Fraction) -> Piece:
    """Return the code of a rational number: a whole one, if it is one."""
    whole = value.denominator == 1 and abs(value) < 2**53
    text = str(value) if whole else repr(float(value))
    return Piece(text, Level.ATOM if value >= 0 else Level.PRODUCT)
