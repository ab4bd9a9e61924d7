"""Spaces: what a group does to the axes of several parameters, which have some in common.

A space that vectors come out of, and that no form is on, is an output: what acts on rows acts
there. One that only forms are on is an input: what acts on columns acts there. One that has both is
inner: vectors move by M and forms by M⁻ᵀ, so that what is contracted over it stays.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from normdsl.expressions.ports import Axis, Port
from normdsl.expressions.shapes import Shape, Space

#: Dimensions of a space that parameters share, of fewer than inputs and outputs have.
_SHARED = 2


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


def is_turned(axis: Axis, sort: Sort) -> bool:
    """Return whether an axis moves by the inverse transpose of what acts on its space."""
    return axis.dual and sort is Sort.INNER


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


def sizes(ports: Iterable[Port], shape: tuple[int, int]) -> dict[Space, int]:
    """Return dimensions of spaces in an experiment: of inputs and outputs two numbers, in turn.

    Spaces between them have two dimensions, so that products with them have full rank.
    """
    found = sorts(ports)
    outer = [space for space, sort in found.items() if sort is not Sort.INNER]
    known = dict.fromkeys(found, _SHARED if outer else shape[0])
    return known | {space: shape[k % 2] for k, space in enumerate(outer)}


def shapes(ports: Iterable[Port], sizes: Mapping[Space, int]) -> list[tuple[int, int]]:
    """Return rows and columns of parameters whose spaces have these dimensions."""
    return [(_length(port.rows, sizes), _length(port.cols, sizes)) for port in ports]


def _length(axis: Axis, sizes: Mapping[Space, int]) -> int:
    return sizes[axis.length] if isinstance(axis.length, Space) else 1
