"""The symmetric gauges in use: ℓp, and the sum of the k largest entries with its dual."""

from __future__ import annotations

from fractions import Fraction

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge, Map, Vector
from normdsl.expressions.nodes.constants import Number, exact
from normdsl.vocabulary import entrywise as f

_LABELS = {
    ("ℓ", Fraction(1, 2)): "_F",
    ("ℓ", Fraction(0)): "∞",
    ("S", Fraction(0)): "₂",
    ("S", Fraction(1)): "_*",
}


def _vertex(v: Vector) -> Map:
    """Return the map to sign(x) where |x| is largest and 0 elsewhere, shared out among ties."""
    top = v.largest(f.abs)

    def chosen(x: Expr) -> Expr:
        return 1 - f.sign(top - f.abs(x))

    return lambda x: v.divided(f.sign(x) * chosen(x), v.total(chosen))


@attrs.frozen
class Lp(Gauge):
    """(Σ |x_i|^p)^(1/p), 1 ≤ p ≤ ∞; dual ℓq with 1/p + 1/q = 1.

    Args:
        inverse: 1/p, in [0, 1].
    """

    inverse: Fraction

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.inverse <= 1:
            raise DeclarationError(
                f"use the gauge with 1/p = {self.inverse}",
                why="(Σ |x|^p)^(1/p) is a norm for p ≥ 1 only",
                hint="use p = 1, 2, any number above 1, or float('inf')",
            )

    @property
    def dual(self) -> Lp:
        return Lp(1 - self.inverse)

    @property
    def round(self) -> bool:
        return self.inverse == Fraction(1, 2)

    def value(self, v: Vector) -> Expr:
        if self.inverse == 0:
            return v.largest(f.abs)
        if self.inverse == 1:
            return v.total(f.abs)
        if self.round:
            return v.length()
        # Powers of entries divided by the largest one neither overflow nor vanish together.
        top = v.largest(f.abs)
        powers = v.total(lambda x: (f.reciprocal(top) * f.abs(x)) ** (1 / self.inverse))
        return top * powers**self.inverse

    def lmo(self, v: Vector) -> Map:
        if self.inverse == 0:
            return lambda x: -f.sign(x)
        if self.inverse == 1:
            vertex = _vertex(v)
            return lambda x: -vertex(x)
        if self.round:
            inverse_length = f.reciprocal(v.length())
            return lambda x: -(x * inverse_length)
        return self._between(v)

    def _between(self, v: Vector) -> Map:
        """Return −sign(x) |x|^(q−1) / ‖x‖_q^(q−1), of entries divided by the largest one."""
        top, q = v.largest(f.abs), 1 / self.dual.inverse

        def relative(x: Expr) -> Expr:
            return f.reciprocal(top) * f.abs(x)

        length = v.total(lambda x: relative(x) ** q) ** self.inverse
        return lambda x: -(f.sign(x) * relative(x) ** (q - 1) * f.reciprocal(length))

    def label(self, kind: str) -> str:
        return _LABELS.get((kind, self.inverse), f"_{kind}{self}")

    def __str__(self) -> str:
        return "∞" if self.inverse == 0 else str(1 / self.inverse)


@attrs.frozen
class Top(Gauge):
    """The sum of the k largest |x_i| (Ky Fan, 1951); dual max(max |x_i|, Σ |x_i| / k).

    Args:
        k: how many; from the length of the vector on, it is ℓ1.
    """

    k: int

    def __attrs_post_init__(self) -> None:
        if not (isinstance(self.k, int) and self.k >= 1):
            raise DeclarationError(
                f"sum the {self.k!r} largest entries",
                why="k must be a whole number ≥ 1",
                hint="use nd.ky_fan(2)",
            )

    @property
    def dual(self) -> TopDual:
        return TopDual(self.k)

    def value(self, v: Vector) -> Expr:
        cut = v.kth_largest(f.abs, self.k)
        return v.total(lambda x: f.maximum(f.abs(x) - cut, 0)) + self.k * cut

    def lmo(self, v: Vector) -> Map:
        """Return the vertex, or −sign(x)/k, whichever attains the dual; their mean if both do."""
        vertex, gap = _vertex(v), f.sign(v.largest(f.abs) - v.total(f.abs) / self.k)
        return lambda x: -((1 + gap) / 2 * vertex(x) + (1 - gap) / (2 * self.k) * f.sign(x))

    def label(self, kind: str) -> str:
        return f"_KF{self.k}" if kind == "S" else f"_top{self.k}"

    def __str__(self) -> str:
        return f"top{self.k}"


@attrs.frozen
class TopDual(Gauge):
    """The larger of max |x_i| and Σ |x_i| / k: the dual of the sum of the k largest.

    Args:
        k: how many.
    """

    k: int

    def __attrs_post_init__(self) -> None:
        Top(self.k)

    @property
    def dual(self) -> Top:
        return Top(self.k)

    def value(self, v: Vector) -> Expr:
        return f.maximum(v.largest(f.abs), v.total(f.abs) / self.k)

    def lmo(self, v: Vector) -> Map:
        """Return −sign(x) on the k largest |x|, shared out among those tied at the k-th place."""
        cut = v.kth_largest(f.abs, self.k)

        def above(x: Expr) -> Expr:
            return f.maximum(f.sign(f.abs(x) - cut), 0)

        def tied(x: Expr) -> Expr:
            return 1 - f.abs(f.sign(f.abs(x) - cut))

        share = (self.k - v.total(above)) * f.reciprocal(v.total(tied))
        return lambda x: -(f.sign(x) * (above(x) + f.minimum(share, 1) * tied(x)))

    def label(self, kind: str) -> str:
        return f"{Top(self.k).label(kind)}*"

    def __str__(self) -> str:
        return f"top{self.k}*"


def lp(p: Number) -> Lp:
    """Return the ℓp norm of vectors, (Σ |x_i|^p)^(1/p) with 1 ≤ p ≤ ∞, as a gauge.

    Gauges make norms of rows, of columns, of several norms and of all layers.

    Raises:
        DeclarationError: for p < 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.lp(3), nd.lp(3).dual)
        3 3/2
        >>> print(nd.row_norm(nd.lp(2), nd.lp(1)))
        ‖X‖_rows 2,1
    """
    if not (isinstance(p, int | float | Fraction) and p >= 1):
        raise DeclarationError(
            f"use the ℓp gauge with p = {p!r}",
            why="(Σ |x|^p)^(1/p) is a norm for p ≥ 1 only",
            hint="use p = 1, 2, any number above 1, or float('inf'); for a choice of p, declare "
            "the rule in a function of p",
        )
    return Lp(Fraction(0) if p == float("inf") else 1 / exact(p))
