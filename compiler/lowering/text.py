"""Text: numbers, lengths, inputs and brackets as they are written in emitted code."""

from __future__ import annotations

import math
from fractions import Fraction

from normdsl.nodes import Source
from normdsl.shapes import Dim
from normdsl.show.notation import Level, Piece
from normdsl.streams import MOMENTS

#: Names of the lengths in emitted code.
LENGTH = {Dim.ONE: "1", Dim.M: "rows", Dim.N: "cols"}
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
