"""Functions of matrices: polar factors, powers, inverses, factors and bases."""

from __future__ import annotations

from typing import Any

from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.recursion import State
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
