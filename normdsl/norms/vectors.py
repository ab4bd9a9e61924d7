"""The vectors that gauges measure: entries of an array along axes, or a few scalars."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import attrs

from normdsl import functions as f
from normdsl.errors import DeclarationError
from normdsl.expr import Expr, add
from normdsl.gauge import Map, Vector


@attrs.frozen(eq=False)
class Entries(Vector):
    """The entries of an array over its "rows", its "cols" or "all", or of a scalar over "layers".

    Args:
        array: the expression. over: the axes, as `nd.sum` takes them.
    """

    array: Expr
    over: str = "all"

    def total(self, f_: Map) -> Expr:
        return f.sum(f_(self.array), over=self.over)

    def largest(self, f_: Map) -> Expr:
        return f.max(f_(self.array), over=self.over)

    def length(self) -> Expr:
        """Return the root of the sum of squares; lowering scales those over axes."""
        plain = self.over != "layers"
        return f.sqrt(self.total(lambda x: x * x)) if plain else _scaled_length(self)

    def kth_largest(self, f_: Map, k: int) -> Expr:
        return f.kth_largest(f_(self.array), k, over=self.over)

    def map(self, change: Map) -> Expr:
        """Return the array with every entry mapped."""
        return change(self.array)


@attrs.frozen(eq=False)
class Parts(Vector):
    """A few scalars.

    Args:
        scalars: the expressions.
    """

    scalars: tuple[Expr, ...]

    def total(self, f_: Map) -> Expr:
        return self._joined(add, f_)

    def largest(self, f_: Map) -> Expr:
        return self._joined(f.maximum, f_)

    def length(self) -> Expr:
        return _scaled_length(self)

    def _joined(self, join: Callable[[Expr, Expr], Expr], f_: Map) -> Expr:
        return reduce(join, map(f_, self.scalars))

    def kth_largest(self, f_: Map, k: int) -> Expr:
        raise DeclarationError(
            "combine norms by the sum of the k largest",
            why="a few norms are combined by an ℓp gauge",
            hint="use nd.max_of, nd.sum_of, nd.l2_of, or nd.lp(p)",
        )

    def map(self, change: Map) -> tuple[Expr, ...]:
        """Return every scalar mapped."""
        return tuple(map(change, self.scalars))


def _scaled_length(v: Vector) -> Expr:
    """Return (Σ x²)^½ of entries divided by the largest one."""
    top = v.largest(f.abs)
    return top * f.sqrt(v.total(lambda x: (f.reciprocal(top) * x) ** 2))
