"""Which programs take the same step on transposed matrices, so that both shapes are one batch.

P(Wᵀ, Gᵀ, Sᵀ) = P(W, G, S)ᵀ is seen from the facts of the operations between the weights, gradient
and states and their new values. Numbers may depend on rows and columns: a matrix has its own.
"""

from __future__ import annotations

from functools import lru_cache

from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.source import numbers_of
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Source, Stream
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import MATRIX, SCALAR
from normdsl.expressions.traversal import walk

_GIVEN = (Source.WEIGHTS, Source.GRADIENT, Source.LOSS)
_LENGTHS = (Source.ROWS, Source.COLS)


@lru_cache(maxsize=256)
def transposable(program: Program) -> bool:
    """Return whether a step of transposed matrices is the transpose of a step, for certain.

    Not of rules that join layers, draw, read moments or other parameters,
    keep values or ask for the loss elsewhere,
    which know what is a row.
    """
    if program.layers or program.draws or program.declaration.asides:
        return False
    if program.renewed or program.phases:
        return False
    numbers = numbers_of(program)
    arrays = [x for x in inside(program.graph, lambda x: x in numbers) if x not in numbers]
    return all(map(_commutes, arrays))


@lru_cache(maxsize=256)
def sized(program: Program) -> tuple[str, ...]:
    """Return the names of a step's numbers that depend on rows and columns."""
    return tuple(name for x, name in numbers_of(program).items() if any(map(_is_length, walk(x))))


def _commutes(x: Expr) -> bool:
    match x:
        case Stream(source=source):
            return source in _GIVEN
        case Before() | Constant():
            return x.shape in (MATRIX, SCALAR)
    return x.commutes_with_transpose


def _is_length(x: Expr) -> bool:
    return isinstance(x, Stream) and x.source in _LENGTHS
