"""Sums, means and maxima of entries, over axes, layers or workers, and inner products."""

from __future__ import annotations

import math
from typing import Any

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Reducer
from normdsl.expressions.nodes.arithmetic import Mul, Pow
from normdsl.expressions.nodes.constants import as_expr, is_constant
from normdsl.expressions.shapes import SCALAR, Dim
from normdsl.expressions.streams import cols, rows
from normdsl.near import did_you_mean


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

    Over `"workers"`: the mean of a value of any shape over the workers, processes that run one rule
    on samples of their own. Weights, states and gradients are each worker's own, and differ unless
    the rule averages them. With one process there is one worker, and the mean is the value itself.
    Beneath `nd.every(k, …)` workers meet at every k-th step alone. `replicas=` of the optimizer
    says which processes are workers, and `nd.simulate` runs all of them in one process.

    Example:
        >>> import normdsl as nd
        >>> print(nd.mean(nd.G * nd.G, over="cols"))
        sum[j](G²) / n
        >>> print(nd.every(8, nd.mean(nd.W, over="workers"), nd.W))
        where(mod(t, 8) < 1, mean[workers](W), W)
    """
    x = as_expr(x)
    if over == "workers":
        return nodes.WorkersMean(x)
    over_rows, over_cols = _axes(over)
    lengths = {Dim.M: rows, Dim.N: cols, Dim.MN: rows * cols, Dim.ONE: as_expr(1)}
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
    if over == "workers":
        raise DeclarationError(
            "reduce over the workers",
            why="a rule that says the same for any number of workers combines them by their mean",
            hint='use nd.mean(x, over="workers")',
        )
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


def quantile(x: Any, share: Any, *, over: str = "all") -> Expr:
    """Return what a share of the entries over `"rows"`, `"cols"` or `"all"` is not above.

    Of entries in order, x₀ ≤ … ≤ x_k, it is at place `share` · k, between two of them by a line:
    the least for 0, the median for ½, the largest for 1.

    Raises:
        DomainError: if the share is not known to lie in [0, 1].

    Example:
        >>> import normdsl as nd
        >>> print(nd.quantile(nd.abs(nd.G), 0.9))
        quantile[ij](abs(G), 9/10)
    """
    found = nodes.Quantile(as_expr(x), as_expr(share), *_axes(over))
    return found.arg if found.arg.shape == SCALAR else found


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
