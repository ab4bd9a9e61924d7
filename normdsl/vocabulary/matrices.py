"""Functions of matrices: polar factors, powers, inverses, bases, eigenvalues, entries stacked."""

from __future__ import annotations

from typing import Any

from normdsl.errors import ShapeError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.recursion import State
from normdsl.expressions.shapes import SCALAR, Dim
from normdsl.expressions.traversal import walk


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


def eigenvalues(s: Any) -> Expr:
    """Return the eigenvalues of a symmetric matrix as a column, largest first.

    In the order of the columns of `nd.eigenbasis(s)`: Q diag(f(λ)) Qᵀ, written
    `(Q * f(lam).T) @ Q.T` or `Q @ nd.diag(f(lam)) @ Q.T`, is a function of the matrix. For |S| no
    eigenvectors are needed: it is `nd.matrix_power(S @ S, 1 / 2)`.

    Raises:
        DomainError: if s is not known to be symmetric.

    Example:
        >>> import normdsl as nd
        >>> lam = nd.eigenvalues(nd.G @ nd.G.T)
        >>> print(nd.max(lam), lam.shape)
        max[ij](eigenvalues(G Gᵀ)) m×1
    """
    return nodes.Eigenvalues(as_expr(s))


def diag(v: Any) -> Expr:
    """Return the diagonal matrix of a column: v ∘ I. `nd.diagonal` is the way back.

    Products with it are multiples of rows and columns, and nothing else is computed.

    Raises:
        ShapeError: for anything but a column.

    Example:
        >>> import normdsl as nd
        >>> lengths = nd.sqrt(nd.sum(nd.G * nd.G, over="cols"))
        >>> print(nd.diag(lengths), "|", nd.diag(lengths) @ nd.G)
        diag(√sum[j](G²)) | √sum[j](G²) ∘ G
    """
    column = as_expr(v)
    if column.shape.cols is not Dim.ONE or column.shape == SCALAR:
        raise ShapeError(
            f"form the diagonal matrix of {column.shape.phrase}",
            at=column,
            why="it has a number for each row, in a column",
            hint="transpose a row with .T; for the diagonal of a matrix use nd.diagonal",
        )
    return column * nodes.Eye(column.shape.rows)


def diagonal(s: Any) -> Expr:
    """Return the diagonal of a square matrix as a column. `nd.diag` is the way back.

    Raises:
        ShapeError: if s is not square.

    Example:
        >>> import normdsl as nd
        >>> print(nd.diagonal(nd.G @ nd.G.T), nd.diagonal(nd.G @ nd.G.T).shape)
        diagonal(G Gᵀ) m×1
    """
    square = as_expr(s)
    if not square.shape.square:
        raise ShapeError(
            f"take the diagonal of {square.shape.phrase}",
            at=square,
            why="a diagonal is one of a square matrix, m×m or n×n",
            hint="build one with G @ G.T (m×m) or G.T @ G (n×n)",
        )
    return nodes.Inner(nodes.Eye(square.shape.rows), square, False, True)


def triu(x: Any) -> Expr:
    """Return the upper triangle of a square matrix: X_ij for i ≤ j, and 0 below the diagonal.

    The lower one is `nd.triu(x.T).T`; the diagonal is `nd.diagonal(x)`.

    Raises:
        ShapeError: if x is not square.

    Example:
        >>> import normdsl as nd
        >>> print(nd.triu(nd.G @ nd.G.T) @ nd.G)
        triu(G Gᵀ) G
    """
    return nodes.UpperTriangle(as_expr(x))


def vec(x: Any) -> Expr:
    """Return the entries of an m×n matrix as a column of mn, row after row.

    For statistics on pairs of entries: nd.vec(G) @ nd.vec(G).T is mn×mn, the square of the memory
    of W, so it is for small layers. vec(A X Bᵀ) = (A ⊗ B) vec(X), by which its law is found.

    Raises:
        ShapeError: for anything but an m×n matrix.

    Example:
        >>> import normdsl as nd
        >>> S = nd.accumulate(nd.vec(nd.G) @ nd.vec(nd.G).T)
        >>> print(nd.unvec(nd.matrix_power(S, -1 / 2) @ nd.vec(nd.G)).shape)
        m×n
    """
    return simplest(nodes.Vec(as_expr(x)))


def unvec(v: Any) -> Expr:
    """Return the m×n matrix whose entries are those of a column of mn, row after row.

    Raises:
        ShapeError: for anything but a column of mn entries.

    Example:
        >>> import normdsl as nd
        >>> nd.unvec(nd.vec(nd.G)) == nd.G
        True
    """
    return simplest(nodes.Unvec(as_expr(v)))
