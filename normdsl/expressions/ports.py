"""Ports: the parameters of a rule that has several, and the spaces that their axes belong to.

A matrix maps one space to another: A of shape r×n takes n-vectors to r-vectors. Where the basis of
a space changes, vectors move by M and linear forms by M⁻ᵀ; so rows belong to a space, columns to
the dual of one, and the product B A of m×r and r×n stays what it is: (B M⁻¹)(M A) = B A.

A space that vectors come out of, and that no form is on, is one of outputs; one that only forms are
on, of inputs; one that has both is inner.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from normdsl.expressions.shapes import Length, Shape, Space


@attrs.frozen
class Axis:
    """An axis of a parameter.

    Args:
        length: its length: that of a space, or one; of a parameter that is next to another, any.
        dual: whether entries along it are those of a linear form on the space, not of a vector.
    """

    length: Length
    dual: bool = False


@attrs.frozen
class Port:
    """A parameter of a rule.

    Args:
        name: as the rule calls it. rows: its first axis. cols: its second axis.
    """

    name: str
    rows: Axis
    cols: Axis

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return Shape(self.rows.length, self.cols.length)

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Both axes."""
        return self.rows, self.cols


class Sort(enum.Enum):
    """How parameters have a space: as rows, as columns, or as both."""

    OUTPUT = "rows"
    INPUT = "cols"
    INNER = "inner"


def sorts(ports: Iterable[Port]) -> Mapping[Space, Sort]:
    """Return the spaces of parameters, each with its sort."""
    sides: dict[Space, set[bool]] = defaultdict(set)
    for axis in (axis for port in ports for axis in port.axes):
        if isinstance(axis.length, Space):
            sides[axis.length].add(axis.dual)
    return {space: _sort(found) for space, found in sides.items()}


def _sort(duals: set[bool]) -> Sort:
    if len(duals) > 1:
        return Sort.INNER
    return Sort.INPUT if True in duals else Sort.OUTPUT


def sizes(ports: Iterable[Port], shape: tuple[int, int], shared: int) -> dict[Space, int]:
    """Return dimensions of the spaces of parameters.

    Args:
        ports: the parameters. shape: dimensions of outputs, and of inputs.
        shared: of spaces between outputs and inputs; where there are none of these, they have as
            many as outputs.
    """
    found = sorts(ports)
    m, n = shape
    outer = {Sort.OUTPUT: m, Sort.INPUT: n} if {*found.values()} != {Sort.INNER} else {}
    return {space: outer.get(sort, shared if outer else m) for space, sort in found.items()}


def shapes(ports: Iterable[Port], sizes: Mapping[Space, int]) -> list[tuple[int, int]]:
    """Return rows and columns of parameters whose spaces have these dimensions."""
    return [(_length(port.rows, sizes), _length(port.cols, sizes)) for port in ports]


def _length(axis: Axis, sizes: Mapping[Space, int]) -> int:
    return sizes[axis.length] if isinstance(axis.length, Space) else 1


def alike(ports: Iterable[Port]) -> Iterator[Port]:
    """Yield the parameters that have the shape of another, or of its transpose."""
    listed = list(ports)
    for port in listed:
        shapes = [p.shape for p in listed if p is not port]
        if port.shape in shapes or port.shape.transposed in shapes:
            yield port


def of_shape(ports: Iterable[Port], shape: Shape) -> Iterator[Port]:
    """Yield the parameters of a shape."""
    return (port for port in ports if port.shape == shape)
