"""Frames of a chosen rank: bases of ranges, leading singular vectors, selected rows; masks.

A rank is a whole number, how many, or one between 0 and 1, which share of the shorter side of W,
rounded up: `rank: nd.Rank = 32`, `share: nd.Share = 0.25`.
"""

from __future__ import annotations

from typing import Any

from normdsl.errors import DeclarationError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Distribution, Source
from normdsl.expressions.nodes.constants import as_expr, is_constant
from normdsl.expressions.shapes import SCALAR, Dim, Length, Shape
from normdsl.vocabulary.draws import drawn, uniform
from normdsl.vocabulary.entrywise import sign

_LENGTHS = {Source.ROWS: Dim.M, Source.COLS: Dim.N}


def qr(x: Any) -> Expr:
    """Return orthonormal columns Q that span those of x, by x = Q R with R's diagonal ≥ 0.

    Args:
        x: m×m, n×n, or a matrix whose columns are as many as a rank.

    Raises:
        ShapeError: if x may have more columns than rows.

    Example:
        >>> import normdsl as nd
        >>> X = nd.G @ nd.normal(nd.cols, 4)
        >>> print(nd.qr(X), nd.qr(X).shape)
        qr(G ξ) m×4
    """
    return nodes.Qr(as_expr(x))


def range_basis(x: Any, rank: Any, key: int = 0) -> Expr:
    """Return `rank` orthonormal columns in the range of x, by qr(x Ω) for a random Gaussian Ω.

    They span most of what x does to the directions it stretches most (Halko, Martinsson and Tropp
    2011, arXiv:0909.4061, algorithm 4.1); Ω is new at every step.

    Args:
        x: a matrix. rank: how many, a number or a hyper-parameter `rank: nd.Rank`.
        key: tells draws apart.

    Example:
        >>> import normdsl as nd
        >>> print(nd.range_basis(nd.G, 4))
        qr(G ξ)
    """
    x = as_expr(x)
    return qr(x @ drawn(Distribution.NORMAL, Shape(x.shape.cols, _length(rank)), key))


def top_singular(x: Any, rank: Any) -> Expr:
    """Return the left singular vectors of the `rank` largest singular values of x, as columns.

    The sign of a column is arbitrary, and columns change places where singular values cross. A
    state in their coordinates turns along, as in those of `nd.eigenbasis`: what it was is read in
    the coordinates of this step. A schedule keeps them for `refresh` steps.

    Args:
        x: a matrix. rank: how many, or which share, a number or a hyper-parameter
            `rank: nd.Rank` or `share: nd.Share`; at most min(m, n) are taken.

    Raises:
        DomainError: for a rank that is neither a whole number ≥ 1 nor a share.

    Example:
        >>> import normdsl as nd
        >>> P = nd.top_singular(nd.G, 4)
        >>> print(P @ P.T @ nd.G)
        top[4](G) top[4](G)ᵀ G
        >>> print(nd.top_singular(nd.G, 1 / 4).shape)
        m×¼ min(m, n)
    """
    found = nodes.rank_of(as_expr(rank))
    return nodes.TopSingular(as_expr(x), found.size, found.share)


def normal(rows: Any, cols: Any, key: int = 0) -> Expr:
    """Return independent standard normal numbers, new ones at every step; as a start, drawn once.

    Draws of one shape with the same `key` are one and the same.

    Args:
        rows: nd.rows, nd.cols, or a rank. cols: likewise. key: tells draws apart.

    Raises:
        DeclarationError: for anything else.

    Example:
        >>> import normdsl as nd
        >>> nd.normal(nd.rows, nd.cols) == nd.normal_like(nd.G), str(nd.normal(nd.cols, 4).shape)
        (True, 'n×4')
    """
    return drawn(Distribution.NORMAL, Shape(_length(rows), _length(cols)), key)


def random_frame(rows: Any, rank: Any, key: int = 0) -> Expr:
    """Return `rank` random orthonormal columns, uniformly distributed (by Haar's measure).

    It is qr(Ω) for a Gaussian Ω, whose R has a positive diagonal (Mezzadri 2007,
    arXiv:math-ph/0609050).

    Args:
        rows: nd.rows or nd.cols. rank: how many. key: tells draws apart.

    Example:
        >>> import normdsl as nd
        >>> print(nd.random_frame(nd.cols, 4))
        qr(ξ)
    """
    return qr(normal(rows, rank, key))


def selection(scores: Any, rank: Any) -> Expr:
    """Return E, the columns of the identity at the `rank` largest scores: Eᵀ X are those rows of X.

    E Eᵀ X is X with all other rows zero. Columns are selected by E of their scores: X E.

    Args:
        scores: a number for each row, m×1 or n×1, as `nd.sum(nd.abs(X), over="cols")`.
        rank: how many, a number or a hyper-parameter `rank: nd.Rank`; at most min(m, n).

    Raises:
        ShapeError: for anything but a column. DomainError: for a rank that is none.

    Example:
        >>> import normdsl as nd
        >>> E = nd.selection(nd.sum(nd.abs(nd.G), over="cols"), 4)
        >>> print(E.T @ nd.G, (E.T @ nd.G).shape)
        select[4](sum[j](abs(G)))ᵀ G 4×n
    """
    found = nodes.rank_of(as_expr(rank))
    return nodes.Selection(as_expr(scores), found.size, found.share)


def dct_basis(points: Any) -> Expr:
    """Return the orthogonal matrix of the discrete cosine transform of m or n points (DCT-II).

    Its columns are √(2/n) cos(π (2 j + 1) k / (2 n)), a column for each frequency k, the first one
    divided by √2 (Ahmed, Natarajan and Rao, 1974).

    Args:
        points: nd.rows or nd.cols.

    Example:
        >>> import normdsl as nd
        >>> print(nd.G @ nd.dct_basis(nd.cols))
        G C
    """
    return nodes.Dct(_length(points))


def mask(
    probability: Any, rows: Any = 1, cols: Any = 1, key: int = 0, *, over: str | None = None
) -> Expr:
    """Return random ones and zeros, new ones at every step, each one with a probability.

    One number for a layer by default; for each of its rows, `nd.mask(p, nd.rows)`; for each entry,
    `nd.mask(p, nd.rows, nd.cols)`. A mask is (1 + sign(p − u))/2 for uniform random numbers u.

    Args:
        probability: p, in [0, 1]. rows: 1, nd.rows, nd.cols or a rank. cols: likewise.
        key: tells draws apart. over: "layers" for one number that all layers share.

    Raises:
        DeclarationError: for any other `over`, or if what layers share has rows or columns.

    Example:
        >>> import normdsl as nd
        >>> print(nd.mask(0.5) * nd.G)
        ½ (1 + sign(½ − u)) G
        >>> coin = nd.mask(0.5, over="layers")  # one for the model
    """
    shape = Shape(_length(rows), _length(cols))
    if over is not None and shape != SCALAR:
        raise DeclarationError(
            f"draw {shape.phrase} of ones and zeros over {over!r}",
            why="layers have different shapes; they can share a single number",
            hint='write nd.mask(p, over="layers")',
        )
    draw = drawn(Distribution.UNIFORM, shape, key) if over is None else uniform(over=over, key=key)
    return (1 + sign(as_expr(probability) - draw)) / 2


def _length(of: Any) -> Length:
    """Return the length of an axis: 1, m, n, or a rank."""
    x = as_expr(of)
    if is_constant(x, 1):
        return Dim.ONE
    known = _LENGTHS.get(x.source) if isinstance(x, nodes.Stream) else None
    return nodes.rank_of(x) if known is None else known
