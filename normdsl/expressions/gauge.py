"""Symmetric gauges: norms of vectors that see the sizes of entries alone, in whatever order.

One gauge gives a norm of the entries of a matrix, of its singular values (von Neumann, 1937), of
the norms of its rows or columns, or of the norms of several parts or layers. It is written once,
over a `Vector`, which says what a sum and a maximum over the entries are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import attrs

from normdsl.expressions.expr import Expr
from normdsl.show.page import paragraph

Map = Callable[[Expr], Expr]


class Vector(ABC):
    """A vector as gauges need it: sums, maxima and lengths over its entries."""

    @abstractmethod
    def total(self, f: Map) -> Expr:
        """Return Σ f(x_i)."""

    @abstractmethod
    def largest(self, f: Map) -> Expr:
        """Return max f(x_i)."""

    @abstractmethod
    def length(self) -> Expr:
        """Return (Σ x_i²)^½, whose squares neither overflow nor vanish."""

    def divided(self, x: Expr, count: Expr) -> Expr:
        """Return x / count, for the number of entries that are largest."""
        return x / count

    @abstractmethod
    def kth_largest(self, f: Map, k: int) -> Expr:
        """Return the k-th largest f(x_i) ≥ 0; 0 if there are fewer."""


@attrs.frozen
class Gauge(ABC):
    """A norm φ of vectors that ignores the signs and the order of their entries.

    Example:
        >>> import normdsl as nd
        >>> isinstance(nd.lp(3), nd.Gauge)
        True
        >>> print(nd.lp(3).dual)
        3/2
    """

    @property
    @abstractmethod
    def dual(self) -> Gauge:
        """The dual gauge, φ*(y) = max_{φ(x)≤1} ⟨x, y⟩."""

    @abstractmethod
    def value(self, v: Vector) -> Expr:
        """Return φ(x)."""

    @abstractmethod
    def lmo(self, v: Vector) -> Map:
        """Return the map of an entry to that of argmin_{φ(a)≤1} ⟨x, a⟩, which is 0 at x = 0."""

    @property
    def round(self) -> bool:
        """Whether every rotation of the vector keeps it."""
        return False

    def _repr_html_(self) -> str:
        return paragraph(f"the gauge {self.label('ℓ')}")

    @abstractmethod
    def label(self, kind: str) -> str:
        """Return the subscript of the norm of entries ("ℓ") or of singular values ("S")."""
