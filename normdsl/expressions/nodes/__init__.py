"""The remaining nodes of the expression language, a file per kind of operation.

Together with the arithmetic in `expr`, the recursions in `recursion` and the norm operations in
`norms.base`, this is the closed set that every pass of the compiler covers.
"""

from normdsl.expressions.nodes.entrywise import (
    ABS,
    EXP,
    FUNCTIONS,
    LOG,
    RECIPROCAL,
    SIGN,
    TANH,
    Apply,
    Function,
    Maximum,
)
from normdsl.expressions.nodes.leaves import Distribution, Draw, Eye, Param, Source, Stream
from normdsl.expressions.nodes.matrices import Cholesky, Eigenbasis, Inverse, MatrixPower
from normdsl.expressions.nodes.reductions import (
    Across,
    BlockMean,
    Inner,
    KthLargest,
    Measure,
    Reduce,
    Reducer,
    Shared,
)
from normdsl.expressions.nodes.singular import Polar, SingularLmo, SingularNorm

__all__ = [
    "ABS",
    "EXP",
    "FUNCTIONS",
    "LOG",
    "RECIPROCAL",
    "SIGN",
    "TANH",
    "Across",
    "Apply",
    "BlockMean",
    "Cholesky",
    "Distribution",
    "Draw",
    "Eigenbasis",
    "Eye",
    "Function",
    "Inner",
    "Inverse",
    "KthLargest",
    "MatrixPower",
    "Maximum",
    "Measure",
    "Param",
    "Polar",
    "Reduce",
    "Reducer",
    "Shared",
    "SingularLmo",
    "SingularNorm",
    "Source",
    "Stream",
]
