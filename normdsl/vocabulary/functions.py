"""Functions of arrays and matrices, by the names that users write; each builds one node."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from normdsl.errors import DeclarationError, ShapeError, kind
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes import Condition, Reducer
from normdsl.expressions.nodes.arithmetic import Mul, Pow
from normdsl.expressions.nodes.arithmetic import power as _power
from normdsl.expressions.nodes.constants import Constant, as_expr, is_constant
from normdsl.expressions.nodes.entrywise import absolute
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.recursion import State
from normdsl.expressions.shapes import SCALAR, Dim, Shape
from normdsl.expressions.streams import cols, rows
from normdsl.expressions.traversal import walk
from normdsl.near import did_you_mean


def sqrt(x: Any) -> Expr:
    """Return √x entry by entry.

    Raises:
        DomainError: if x is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sqrt(nd.G * nd.G))
        √(G²)
        >>> print(nd.sqrt(nd.ema(nd.G * nd.G, 0.9)))
        √fix(9/10 s_old + 1/10 G²)
    """
    return _power(as_expr(x), Constant(Fraction(1, 2)))


def abs(x: Any) -> Expr:
    """Return |x| entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sign(nd.G) * nd.abs(nd.G))
        sign(G) ∘ abs(G)
    """
    return absolute(as_expr(x))


def sign(x: Any) -> Expr:
    """Return the sign of x entry by entry, 0 at 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.W - 0.1 * nd.sign(nd.G))
        W − 1/10 sign(G)
    """
    return nodes.Apply(nodes.SIGN, as_expr(x))


def reciprocal(x: Any) -> Expr:
    """Return the pseudo-inverse of each entry: 1/x, and 0 where x = 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.G * nd.reciprocal(nd.frobenius.value(nd.G)))
        G ‖G‖_F^+
    """
    return simplest(nodes.Apply(nodes.RECIPROCAL, as_expr(x)))


def exp(x: Any) -> Expr:
    """Return e^x entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.exp(-nd.t))
        exp(−t)
    """
    return nodes.Apply(nodes.EXP, as_expr(x))


def log(x: Any) -> Expr:
    """Return the natural logarithm entry by entry, of a stream known to be ≥ 0.

    Raises:
        DomainError: if x is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.log(1 + nd.abs(nd.G)))
        log(1 + abs(G))
    """
    return nodes.Apply(nodes.LOG, as_expr(x))


def cos(x: Any) -> Expr:
    """Return the cosine entry by entry.

    Example:
        >>> import math, normdsl as nd
        >>> print(nd.cos(math.pi * nd.t))
        cos(π t)
    """
    return nodes.Apply(nodes.COS, as_expr(x))


def tanh(x: Any) -> Expr:
    """Return the hyperbolic tangent entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.W - 0.1 * nd.tanh(nd.G))
        W − 1/10 tanh(G)
    """
    return nodes.Apply(nodes.TANH, as_expr(x))


def maximum(x: Any, y: Any) -> Expr:
    """Return the larger of the two, entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.maximum(nd.abs(nd.G), 1))
        max(abs(G), 1)
    """
    return simplest(nodes.Maximum(as_expr(x), as_expr(y)))


def minimum(x: Any, y: Any) -> Expr:
    """Return the smaller of the two, entry by entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.minimum(1, nd.t / 100))
        min(1, 0.01 t)
    """
    # By the maximum, so that one node and one rule of each pass serve both.
    return -nodes.Maximum(-as_expr(x), -as_expr(y))


def clamp(x: Any, low: Any, high: Any) -> Expr:
    """Return x with every entry below `low` raised to it, and every entry above `high` lowered.

    Example:
        >>> import normdsl as nd
        >>> print(nd.clamp(nd.G, -1, 1))
        min(1, max(−1, G))
    """
    return minimum(high, maximum(low, x))


def where(condition: Any, yes: Any, no: Any) -> Expr:
    """Return `yes` where a comparison holds and `no` elsewhere, entry by entry, or of scalars.

    Where both sides of a comparison move alike, by a positive factor, it holds in both of two runs
    or in none. So lengths may be compared with lengths, and what keeps its sign with 0.

    Args:
        condition: x < y, x <= y, x > y or x >= y, of expressions; of numbers, True or False.
        yes, no: what is chosen; both are computed.

    Raises:
        DeclarationError: if the condition is not one.
        ShapeError: if the shapes do not fit.

    Example:
        >>> import normdsl as nd
        >>> print(nd.where(nd.abs(nd.G) > 0.1, nd.G, 0))
        where(abs(G) > 1/10, G, 0)
        >>> print(nd.where(nd.t < 100, nd.t / 100, 1))
        where(t < 100, 0.01 t, 1)
    """
    if isinstance(condition, bool):
        return as_expr(yes if condition else no)
    if not isinstance(condition, Condition):
        expression = isinstance(condition, Expr)
        raise DeclarationError(
            f"choose by {'an expression' if expression else kind(condition)}",
            at=condition if expression else None,
            why="a choice is made by a comparison, which holds or does not at each entry",
            hint="write nd.where(x > 0, a, b), or with <, <= or >=",
        )
    sides = (condition.left, condition.right, as_expr(yes), as_expr(no))
    return simplest(nodes.Where(condition.relation, *sides))


def sum(x: Any, *, over: str = "all", name: str | None = None) -> Expr:
    """Return the sum of the entries over `"rows"` (1×n), `"cols"` (m×1) or `"all"` (a scalar).

    Over `"rows"` the rows are added up, one sum per column. The sum of a product x ∘ y is built as
    the inner product ⟨x, y⟩. Over `"layers"`: the sum of a scalar over the parameters that step
    together. Rules of one optimizer add to one sum if they sum the same expression, or if they
    give their sums the same `name`.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sum(nd.G, over="rows"))
        sum[i](G)
        >>> print(nd.sum(nd.G, over="rows").shape)
        1×n
    """
    x = as_expr(x)
    reduced = _reduce(Reducer.SUM, x, over, name)
    # ⟨x, y⟩ commutes with rotations of both, which x ∘ y on its own has already lost.
    if isinstance(reduced, nodes.Reduce):
        match x:
            case Mul(left=y, right=z) if y.shape == z.shape:
                return nodes.Inner(y, z, reduced.over_rows, reduced.over_cols)
            case Pow(base=y, exponent=p) if is_constant(p, 2):
                return nodes.Inner(y, y, reduced.over_rows, reduced.over_cols)
    return reduced


def mean(x: Any, *, over: str = "all") -> Expr:
    """Return the mean of the entries over `"rows"` (1×n), `"cols"` (m×1) or `"all"` (a scalar).

    Example:
        >>> import normdsl as nd
        >>> print(nd.mean(nd.G * nd.G, over="cols"))
        sum[j](G²) / n
    """
    x = as_expr(x)
    over_rows, over_cols = _axes(over)
    lengths = {Dim.M: rows, Dim.N: cols, Dim.ONE: as_expr(1)}
    counts = [lengths[d] for d, o in ((x.shape.rows, over_rows), (x.shape.cols, over_cols)) if o]
    return sum(x, over=over) / math.prod(counts[1:], start=counts[0])


def max(x: Any, *, over: str = "all", name: str | None = None) -> Expr:
    """Return the largest entry over `"rows"` (1×n), `"cols"` (m×1) or `"all"` (a scalar).

    Over `"layers"`: the largest of a scalar over the parameters that step together; a common
    `name` joins those of several rules, as for `nd.sum`.

    Example:
        >>> import normdsl as nd
        >>> print(nd.max(nd.abs(nd.G), over="cols"))
        max[j](abs(G))
    """
    return _reduce(Reducer.MAX, x, over, name)


def _reduce(reducer: Reducer, x: Any, over: str, name: str | None = None) -> Expr:
    arg = as_expr(x)
    if over == "layers":
        shared = None if name is None else nodes.Shared(nodes.Measure.SCALAR, name)
        return nodes.Across(reducer, arg, shared)
    if name is not None:
        raise DeclarationError(
            f"name a reduction over {over!r}",
            at=arg,
            why="a name says which scalars of several rules are one, over all layers",
            hint='use over="layers", or leave the name out',
        )
    rows, cols = _axes(over)
    return arg if arg.shape == SCALAR else nodes.Reduce(reducer, arg, rows, cols)


def _axes(over: str) -> tuple[bool, bool]:
    """Return whether rows and whether columns are summed over."""
    if over not in ("rows", "cols", "all"):
        raise DeclarationError(
            f"reduce over {over!r}",
            why='it can be over the rows, the columns, "all" entries, or all "layers" of a model',
            hint=did_you_mean(over, ("rows", "cols", "all", "layers"), "the choices are"),
        )
    return over in ("rows", "all"), over in ("cols", "all")


def kth_largest(x: Any, k: int, *, over: str = "all") -> Expr:
    """Return the k-th largest of entries ≥ 0 over `"rows"`, `"cols"` or `"all"`; 0 if too few.

    Raises:
        DomainError: if x is not known to be ≥ 0, or k < 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.kth_largest(nd.abs(nd.G), 3))
        max3[ij](abs(G))
    """
    found = nodes.KthLargest(as_expr(x), k, *_axes(over))
    if found.arg.shape == SCALAR:
        return found.arg if k == 1 else as_expr(0)
    return found


def block_mean(x: Any, *, rows: int = 1, cols: int = 1) -> Expr:
    """Return x with every entry replaced by the mean over its block of rows × cols entries.

    Blocks are cut from the first entry on; the last ones may be smaller. One row and one column
    leave x as it is. The statistic of Subset-Norm (Nguyen and Nguyen, 2024, arXiv:2411.07120) and
    of Adam-mini (Zhang et al., 2024, arXiv:2406.16793).

    Raises:
        DomainError: for a block without rows or columns.

    Example:
        >>> import normdsl as nd
        >>> print(nd.block_mean(nd.G * nd.G, cols=64))
        blockmean[1x64](G²)
    """
    mean = nodes.BlockMean(as_expr(x), rows, cols)
    return mean.arg if mean.arg.shape == SCALAR or rows == cols == 1 else mean


def inner(x: Any, y: Any) -> Expr:
    """Return the Frobenius inner product ⟨x, y⟩.

    Example:
        >>> import normdsl as nd
        >>> print(nd.inner(nd.G, nd.W))
        inner(G, W)
    """
    return nodes.Inner(as_expr(x), as_expr(y))


def trace(x: Any) -> Expr:
    """Return the trace of a square matrix, ⟨I, X⟩.

    Raises:
        ShapeError: if it is not square.

    Example:
        >>> import normdsl as nd
        >>> print(nd.trace(nd.G @ nd.G.T))
        tr(G Gᵀ)
    """
    x = as_expr(x)
    if not x.shape.square:
        raise ShapeError(
            f"take the trace of {x.shape.phrase}",
            at=x,
            why="it sums the diagonal of a square matrix, m×m or n×n",
            hint="for ⟨X, Y⟩ = tr XᵀY use nd.inner(X, Y)",
        )
    return nodes.Inner(nodes.Eye(x.shape.rows), x)


def polar(x: Any) -> Expr:
    """Return the polar factor U Vᵀ of X = U S Vᵀ: X with all nonzero singular values set to 1.

    For X of rank r it is U_r V_rᵀ, the sum over the r nonzero singular values; 0 at 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.polar(nd.G))
        polar(G)
        >>> print(nd.spectral.lmo(nd.G).definition)
        −polar(G)
    """
    return nodes.Polar(as_expr(x))


def matrix_power(s: Any, p: Any) -> Expr:
    """Return S^p for symmetric positive semidefinite S; for p < 0 on the range of S; S^0 = I.

    Raises:
        DomainError: if S is not known to be positive semidefinite.

    Example:
        >>> import normdsl as nd
        >>> print(nd.matrix_power(nd.G @ nd.G.T, -1 / 4) @ nd.G)
        (G Gᵀ)⁻¹ᐟ⁴ G
    """
    return simplest(nodes.MatrixPower(as_expr(s), as_expr(p)))


def cholesky(s: Any) -> Expr:
    """Return the lower triangular C with C Cᵀ = S and a diagonal ≥ 0.

    Raises:
        DomainError: if S is not known to be positive semidefinite.

    Example:
        >>> import normdsl as nd
        >>> print(nd.inverse(nd.cholesky(nd.G @ nd.G.T)) @ nd.G)
        chol(G Gᵀ)⁻¹ G
    """
    return nodes.Cholesky(as_expr(s))


def normal_like(x: Any, key: int = 0) -> Expr:
    """Return independent standard normal numbers in the shape of x, new ones at every step.

    Draws of one shape with the same `key` are one and the same; give each its own. They are
    functions of the optimizer's `seed`, the parameter, the step and the entry.

    Example:
        >>> import normdsl as nd
        >>> noise = nd.normal_like(nd.G)
        >>> noise == nd.normal_like(nd.W), noise == nd.normal_like(nd.G, key=1)
        (True, False)
    """
    return drawn(nodes.Distribution.NORMAL, as_expr(x).shape, key)


def signs_like(x: Any, key: int = 0) -> Expr:
    """Return random signs ±1 (Rademacher) in the shape of x, new ones at every step.

    Draws of one shape with the same `key` are one and the same; give each its own. They are
    functions of the optimizer's `seed`, the parameter, the step and the entry.

    Example:
        >>> import normdsl as nd
        >>> print(nd.signs_like(nd.G) * nd.G)
        ζ ∘ G
    """
    return drawn(nodes.Distribution.SIGNS, as_expr(x).shape, key)


def drawn(distribution: nodes.Distribution, shape: Shape, key: int) -> Expr:
    """Return random numbers in an array of a shape; a key tells draws apart.

    Raises:
        DeclarationError: for anything but a whole number ≥ 0 as a key.
    """
    if type(key) is not int or key < 0:
        raise DeclarationError(
            f"draw with the key {key!r}",
            why="a key is a whole number ≥ 0 that tells draws apart",
            hint="use key=0, key=1, …",
        )
    return nodes.Draw(distribution, shape, key)


def inverse(x: Any) -> Expr:
    """Return the inverse of a square matrix (its pseudo-inverse where singular).

    For a matrix known to be orthogonal it is the transpose.

    Example:
        >>> import normdsl as nd
        >>> print(nd.inverse(nd.G @ nd.G.T) @ nd.G)
        (G Gᵀ)⁻¹ G
        >>> print(nd.inverse(nd.eigenbasis(nd.G @ nd.G.T)))
        eigenbasis(G Gᵀ)ᵀ
    """
    x = as_expr(x)
    if isinstance(x, nodes.MatrixPower):
        # Of pseudo-inverses as well: both powers live on the range of S.
        return matrix_power(x.arg, -x.exponent)
    if isinstance(x, nodes.Inverse):
        return x.arg
    # A state may be started from another value, for which the transpose is not the inverse.
    if x.facts.orthogonal and not any(isinstance(y, State) and y.facts.orthogonal for y in walk(x)):
        return transpose(x)
    return nodes.MatrixPower(x, as_expr(-1)) if x.facts.psd else nodes.Inverse(x)


def eigenbasis(s: Any) -> Expr:
    """Return the eigenvectors of a symmetric matrix as columns of Q, largest eigenvalue first.

    The sign of a column is arbitrary, and columns change places where eigenvalues cross. A state in
    their coordinates, as an average of (Qᵀ G)², turns along: what it was is read in the coordinates
    of this step (`nd.fix`), so that it stays with its directions. The old basis is a state then.

    Example:
        >>> import normdsl as nd
        >>> Q = nd.eigenbasis(nd.ema(nd.G @ nd.G.T, 0.9))
        >>> print(Q.T @ nd.G)
        eigenbasis(fix(9/10 s_old + 1/10 G Gᵀ))ᵀ G
    """
    return nodes.Eigenbasis(as_expr(s))
