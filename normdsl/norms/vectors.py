"""The vectors that gauges measure: entries of an array, a few scalars, a scalar of each layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.domains import NON_NEGATIVE
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Map, Vector
from normdsl.expressions.nodes import Across, Param, Reducer, Shared
from normdsl.expressions.nodes.arithmetic import add
from normdsl.expressions.traversal import replace
from normdsl.vocabulary import entrywise as f
from normdsl.vocabulary import reductions


@attrs.frozen(eq=False)
class Entries(Vector):
    """The entries of an array over its "rows", its "cols" or "all".

    Args:
        array: the expression. over: the axes, as `nd.sum` takes them.
    """

    array: Expr
    over: str = "all"

    def total(self, f_: Map) -> Expr:
        return reductions.sum(f_(self.array), over=self.over)

    def largest(self, f_: Map) -> Expr:
        return reductions.max(f_(self.array), over=self.over)

    def length(self) -> Expr:
        """Return the root of the sum of squares; lowering scales those over axes."""
        return f.sqrt(self.total(lambda x: x * x))

    def kth_largest(self, f_: Map, k: int) -> Expr:
        return reductions.kth_largest(f_(self.array), k, over=self.over)

    def map(self, change: Map) -> Expr:
        """Return the array with every entry mapped."""
        return change(self.array)


@attrs.frozen(eq=False)
class Layers(Vector):
    """A scalar ≥ 0 of each layer, such as its norm, each rule having a formula of its own.

    Args:
        scalar: the expression. shared: what sums and maxima of it are for.
    """

    scalar: Expr
    shared: Shared

    def total(self, f_: Map) -> Expr:
        return self._across(Reducer.SUM, f_)

    def largest(self, f_: Map) -> Expr:
        return self._across(Reducer.MAX, f_)

    def length(self) -> Expr:
        return _scaled_length(self)

    def kth_largest(self, f_: Map, k: int) -> Expr:
        raise DeclarationError(
            "combine layers by the sum of the k largest",
            at=self.scalar,
            why="layers are combined by their sum and their maximum",
            hint="use an ℓp gauge: nd.over_layers(norm, nd.lp(1))",
        )

    def divided(self, x: Expr, count: Expr) -> Expr:
        """Return x / count, and 0 / 0 = 0: the largest may be a layer of a rule without counts."""
        return x * f.reciprocal(count)

    def _across(self, reducer: Reducer, f_: Map) -> Expr:
        arg = f_(self.scalar)
        part = str(replace(arg, {self.scalar: _ENTRY}))
        return Across(reducer, arg, attrs.evolve(self.shared, part=part))

    def map(self, change: Map) -> Expr:
        """Return the scalar of this layer, mapped."""
        return change(self.scalar)


#: Stands for the norm of any layer, whichever that is, in what a gauge makes of it.
_ENTRY = Param("d", NON_NEGATIVE)


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
