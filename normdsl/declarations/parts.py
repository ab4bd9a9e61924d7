"""Parts: a rule over several parameters as rules of one matrix, each of which reads the others.

A step of several parameters is a step of each, from what all of them were. So what runs a rule of
one matrix W runs each part: W and G are its own, other parameters are given beside them, and a
state that two parts read is kept by both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from normdsl.declarations.substitution import Substitution
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Extent, Eye, Joint, Source, Stream
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.ports import Axis, Port
from normdsl.expressions.shapes import MATRIX, Dim, Length, Shape, Size, Space
from normdsl.expressions.traversal import walk

#: What an author called sub-expressions.
Names = tuple[tuple[str, Expr], ...]


def part(update: Joint, names: Names, number: int, sizes: Mapping[str, int]) -> tuple[Expr, Names]:
    """Return the new weights of one parameter as those of a rule of one matrix, and its names.

    Args:
        update: the new weights of all. names: of expressions in them.
        number: which of the parameters, from 0.
        sizes: the dimensions of the spaces that it does not have itself; those left out stay open.
    """
    seen = _Seen(update.ports[number], sizes)
    change = Substitution(dict(seen.replaced(update)))
    return change(update.weights[number]), tuple((name, change(x)) for name, x in names)


@attrs.frozen
class _Seen:
    """Lengths and streams as one parameter sees them.

    Args:
        own: the parameter. sizes: the dimensions of other spaces, by name.
    """

    own: Port
    sizes: Mapping[str, int]

    def length(self, length: Length) -> Length:
        """Return what a length is: m, n, or a number."""
        if not isinstance(length, Space):
            return length
        if length == self.own.rows.length:
            return Dim.M
        if length == self.own.cols.length:
            return Dim.N
        return Size(self.sizes[length.name]) if length.name in self.sizes else length

    def shape(self, shape: Shape) -> Shape:
        """Return what a shape is."""
        return Shape(self.length(shape.rows), self.length(shape.cols))

    def replaced(self, update: Expr) -> Iterator[tuple[Expr, Expr]]:
        """Yield the leaves that are others here, with what they are."""
        for x in walk(update):
            match x:
                case Constant():
                    yield x, Constant(x.value, self.shape(x.shape), where=x.where)
                case Eye():
                    yield x, Eye(self.length(x.dim), where=x.where)
                case Extent():
                    yield x, self._extent(x.space)
                case Stream() if x.port is not None:
                    yield x, self._stream(x, x.port)

    def _extent(self, space: Space) -> Expr:
        found = self.length(space)
        lengths = {Dim.M: Source.ROWS, Dim.N: Source.COLS}
        if isinstance(found, Size):
            return as_expr(found.number)
        return Stream(lengths[found], where=None) if isinstance(found, Dim) else Extent(space)

    def _stream(self, stream: Stream, port: Port) -> Stream:
        """Return its own stream without a port, unless it is square or a line; or a neighbour's."""
        shape = self.shape(port.shape)
        if port == self.own and shape == MATRIX:
            return Stream(stream.source, where=stream.where)
        name = "" if port == self.own else port.name
        there = Port(name, Axis(shape.rows), Axis(shape.cols))
        return Stream(stream.source, there, where=stream.where)
