"""Spaces: what a group does to the axes of several parameters, which have some in common.

What acts on rows acts on spaces of outputs, what acts on columns on those of inputs. In an inner
space vectors move by M and forms by M⁻ᵀ, so that what is contracted over it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from normdsl.expressions.ports import Port
from normdsl.expressions.shapes import Shape


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
