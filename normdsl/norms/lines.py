"""Norms of rows and of columns: a gauge of each line, and a gauge of what these give."""

from __future__ import annotations

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.matrix_classes import ORTHOGONAL, SIGNED_PERMUTATION, SIGNS, Isometries
from normdsl.expressions.nodes.constants import Number
from normdsl.norms.base import Norm
from normdsl.norms.entrywise import Entrywise, max_entry
from normdsl.norms.gauges import Lp, lp
from normdsl.norms.unitary import Unitary, spectral
from normdsl.norms.vectors import Entries
from normdsl.show.notation import Notation, Piece


@attrs.frozen(repr=False)
class Lines(Norm):
    """outer_i(inner(x_i)) of the rows x_i of X, or of its columns.

    dual(M) = outer*_i(d_i) with d_i = inner*(m_i), and lmo(M)_i = −lmo_outer(d)_i · lmo_inner(m_i):
    for outer = ℓ∞ every line takes its own LMO, for outer = ℓ1 only the one with the largest d_i.

    Args:
        inner: the gauge of each line. outer: the gauge of their norms. rows: lines are rows, or
            columns.
    """

    inner: Gauge
    outer: Gauge
    rows: bool

    @property
    def isometries(self) -> Isometries:
        inside = ORTHOGONAL if self.inner.round else SIGNED_PERMUTATION
        places = (SIGNED_PERMUTATION, inside) if self.rows else (inside, SIGNED_PERMUTATION)
        return Isometries(*places, SIGNS)

    @property
    def dual_norm(self) -> Norm:
        return Lines(self.inner.dual, self.outer.dual, self.rows)

    def _lines(self, x: Expr) -> Entries:
        return Entries(x, "cols" if self.rows else "rows")

    def _joined(self, x: Expr) -> Entries:
        return Entries(x, "rows" if self.rows else "cols")

    def define_value(self, x: Expr) -> Expr:
        return self.outer.value(self._joined(self.inner.value(self._lines(x))))

    def define_dual(self, m: Expr) -> Expr:
        return self.outer.dual.value(self._joined(self.inner.dual.value(self._lines(m))))

    def define_lmo(self, m: Expr) -> Expr:
        lines = self._lines(m)
        shares = self._joined(self.inner.dual.value(lines))
        return -shares.map(self.outer.lmo(shares)) * lines.map(self.inner.lmo(lines))

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.norm(inner, f"_{self._operator() or self._described()}")

    def _operator(self) -> str | None:
        """Return p→q if this is the operator norm from ℓp to ℓq."""
        if not (isinstance(self.outer, Lp) and self.outer.inverse == 0):
            return None
        return f"{self.inner.dual}→∞" if self.rows else f"1→{self.inner}"

    def _described(self) -> str:
        return f"{'rows' if self.rows else 'cols'} {self.inner},{self.outer}"


def row_norm(inner: Gauge, outer: Gauge) -> Lines:
    """Return the norm that measures each row by `inner` and these lengths by `outer`.

    ‖X‖ = outer_i(inner(x_i)) for the rows x_i.

    Example:
        >>> import normdsl as nd
        >>> print(nd.row_norm(nd.lp(2), nd.lp(1)).dual_norm)
        ‖X‖_2→∞
    """
    return Lines(inner, outer, rows=True)


def column_norm(inner: Gauge, outer: Gauge) -> Lines:
    """Return the norm that measures each column by `inner` and these lengths by `outer`.

    ‖X‖ = outer_j(inner(x_j)) for the columns x_j.

    Example:
        >>> import normdsl as nd
        >>> print(nd.column_norm(nd.lp(2), nd.lp(1)))
        ‖X‖_cols 2,1
    """
    return Lines(inner, outer, rows=False)


def operator_norm(p: Number, q: Number) -> Entrywise | Unitary | Lines:
    """Return the operator norm from ℓp to ℓq, max ‖X v‖_q over ‖v‖_p ≤ 1.

    It is known in closed form for 1→q, the largest ℓq norm of a column; for p→∞, the largest ℓp*
    norm of a row with 1/p + 1/p* = 1; and for 2→2, the spectral norm. 1→∞ is the largest entry.

    Raises:
        DeclarationError: for the others, such as ∞→2, 2→1 and ∞→1: computing them is NP-hard
            (Rohn, 2000; Steinberg, 2005).

    Example:
        >>> import normdsl as nd
        >>> print(nd.operator_norm(1, 2))
        ‖X‖_1→2
        >>> nd.operator_norm(2, 2) == nd.spectral
        True
    """
    start, end = lp(p), lp(q)
    if start.inverse == 1 and end.inverse == 0:
        return max_entry
    if start.inverse == 1:
        return column_norm(end, lp(float("inf")))
    if end.inverse == 0:
        return row_norm(start.dual, lp(float("inf")))
    if start.round and end.round:
        return spectral
    raise DeclarationError(
        f"use the operator norm from ℓ{start} to ℓ{end}",
        why="computing it is NP-hard in general, and so is its LMO",
        hint="use 1→q, p→∞ or 2→2",
    )
