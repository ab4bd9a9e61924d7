"""Ports: the parameters of a rule that has several, and the spaces that their axes belong to.

A matrix maps one space to another: A of shape r×n takes n-vectors to r-vectors. Where the basis of
a space changes, vectors move by M and linear forms by M⁻ᵀ; so rows belong to a space, columns to
the dual of one, and the product B A of m×r and r×n stays what it is: (B M⁻¹)(M A) = B A.
"""

from __future__ import annotations

import attrs

from normdsl.expressions.shapes import Length, Shape


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
