"""The nodes of the expression language, a file per kind of operation.

Together with the recursions in `recursion` and the norm operations in `norms.base`, this is the
closed set that every pass of the compiler covers.
"""

from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow, add, mul, power
from normdsl.expressions.nodes.choice import Condition, Relation, Where
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.nodes.entrywise import (
    ABS,
    COS,
    EXP,
    FUNCTIONS,
    LOG,
    RECIPROCAL,
    SIGN,
    TANH,
    Apply,
    Function,
    Maximum,
    Remainder,
)
from normdsl.expressions.nodes.frames import Dct, Qr, Selection, TopSingular, legal_rank, rank_of
from normdsl.expressions.nodes.leaves import Distribution, Draw, Extent, Eye, Param, Source, Stream
from normdsl.expressions.nodes.matrices import (
    Cholesky,
    Eigenbasis,
    Eigenvalues,
    Inverse,
    MatrixPower,
    UpperTriangle,
)
from normdsl.expressions.nodes.products import MatMul, Transpose, matmul, transpose
from normdsl.expressions.nodes.queries import Asked, Query
from normdsl.expressions.nodes.reductions import (
    Across,
    BlockMean,
    Inner,
    KthLargest,
    Measure,
    Quantile,
    Reduce,
    Reducer,
    Shared,
)
from normdsl.expressions.nodes.returned import Joint, Returned, next_weights
from normdsl.expressions.nodes.singular import Polar, SingularLmo, SingularNorm
from normdsl.expressions.nodes.stacking import Unvec, Vec
from normdsl.expressions.nodes.workers import WorkersMean

__all__ = [
    "ABS",
    "COS",
    "EXP",
    "FUNCTIONS",
    "LOG",
    "RECIPROCAL",
    "SIGN",
    "TANH",
    "Across",
    "Add",
    "Apply",
    "Asked",
    "BlockMean",
    "Cholesky",
    "Condition",
    "Constant",
    "Dct",
    "Distribution",
    "Draw",
    "Eigenbasis",
    "Eigenvalues",
    "Extent",
    "Eye",
    "Function",
    "Inner",
    "Inverse",
    "Joint",
    "KthLargest",
    "MatMul",
    "MatrixPower",
    "Maximum",
    "Measure",
    "Mul",
    "Param",
    "Polar",
    "Pow",
    "Qr",
    "Quantile",
    "Query",
    "Reduce",
    "Reducer",
    "Relation",
    "Remainder",
    "Returned",
    "Selection",
    "Shared",
    "SingularLmo",
    "SingularNorm",
    "Source",
    "Stream",
    "TopSingular",
    "Transpose",
    "Unvec",
    "UpperTriangle",
    "Vec",
    "Where",
    "WorkersMean",
    "add",
    "legal_rank",
    "matmul",
    "mul",
    "next_weights",
    "power",
    "rank_of",
    "transpose",
]
