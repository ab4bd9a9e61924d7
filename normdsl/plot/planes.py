"""Planes through the space of matrices, and what a norm's unit ball is in one of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime.values import NOTHING, Given, values
from normdsl.errors import ShapeError
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT
from normdsl.norms.base import Norm


@attrs.frozen
class Plane:
    """The matrices x A + y B with two matrices A and B that are orthogonal, ⟨A, B⟩ = 0.

    A picture in a larger space has them in the upper left corner, and zeros elsewhere.

    Args:
        name: what a picture calls it. first: A, by rows. second: B.

    Raises:
        ShapeError: if they are not two matrices of one shape, orthogonal and not zero.

    Example:
        >>> import normdsl as nd, torch
        >>> symmetric = nd.plot.Plane("[x y; y x]", ((1, 0), (0, 1)), ((0, 1), (1, 0)))
        >>> symmetric.at(torch.tensor([[2.0, 3.0]]), (2, 2))[0].tolist()
        [[2.0, 3.0], [3.0, 2.0]]
    """

    name: str
    first: Sequence[Sequence[float]]
    second: Sequence[Sequence[float]]

    def __attrs_post_init__(self) -> None:
        a, b = (torch.as_tensor(x, dtype=torch.float64) for x in (self.first, self.second))
        legal = a.ndim == 2 and a.shape == b.shape and bool(a.any()) and bool(b.any())
        if not legal or abs(float((a * b).sum())) > 1e-12:
            raise ShapeError(
                f"span the plane {self.name!r}",
                why="its coordinates are those along two matrices of one shape, neither zero, with "
                "⟨A, B⟩ = 0, and these are not",
                hint='nd.plot.Plane("diagonal", ((1, 0), (0, 0)), ((0, 0), (0, 1)))',
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of A and B."""
        return len(self.first), len(self.first[0])

    def basis(self, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return A and B as matrices of a shape.

        Raises:
            ShapeError: if the shape is smaller than they are.
        """
        (m, n), (rows, cols) = shape, self.shape
        if m < rows or n < cols:
            raise ShapeError(
                f"draw the plane {self.name!r} of {rows}×{cols} matrices",
                why=f"the norm is one of {m}×{n} matrices",
                hint="choose other planes, or give larger factors",
            )
        found = torch.zeros(2, m, n, dtype=torch.float64)
        found[0, :rows, :cols] = torch.as_tensor(self.first)
        found[1, :rows, :cols] = torch.as_tensor(self.second)
        return found[0], found[1]

    def at(self, points: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return the matrices x A + y B of points (x, y), one per row."""
        a, b = self.basis(shape)
        x, y = points.double()[:, :, None, None].unbind(1)
        return x * a + y * b

    def coordinates(self, matrices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points nearest to matrices, and how far these are from the plane."""
        shape = (matrices.shape[-2], matrices.shape[-1])
        points = torch.stack(
            [(matrices * e).sum((-2, -1)) / (e * e).sum() for e in self.basis(shape)]
        )
        off = matrices - self.at(points.T, shape)
        return points.T, off.square().sum((-2, -1)).sqrt()


#: The first row of a matrix 2×2, zeros below.
ROW = Plane("a row: [x y; 0 0]", ((1, 0), (0, 0)), ((0, 1), (0, 0)))
#: The first column of a matrix 2×2, zeros beside it.
COLUMN = Plane("a column: [x 0; y 0]", ((1, 0), (0, 0)), ((0, 0), (1, 0)))
#: A diagonal matrix 2×2, whose entries are singular values up to signs.
DIAGONAL = Plane("the diagonal: [x 0; 0 y]", ((1, 0), (0, 0)), ((0, 0), (0, 1)))


@attrs.frozen
class Slice:
    """A norm in a plane.

    Args:
        norm: the norm. plane: the plane. shape: of the matrices.
        given: numbers for what the norm is made of.
    """

    norm: Norm
    plane: Plane
    shape: tuple[int, int]
    given: Given = NOTHING

    def boundary(self, count: int = 361) -> Tensor:
        """Return points with ‖x A + y B‖ = 1, at equal angles around the origin."""
        return self._circle(self.norm.value, count)

    def dual_boundary(self, count: int = 361) -> Tensor:
        """Return points with ‖x A + y B‖_* = 1."""
        return self._circle(self.norm.dual, count)

    def _circle(self, function: Any, count: int) -> Tensor:
        points = directions(count, closed=True)[: count // 2 + 1]
        sizes = values(function, self.plane.at(points, self.shape), self.given)
        half = points / sizes[:, None]
        return torch.cat([half, -half[1:]])  # ‖−X‖ = ‖X‖

    def steps(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return lmo(x A + y B) of gradients (x, y) as points, and how far off the plane it is."""
        found = values(self.norm.lmo, self.plane.at(gradients, self.shape), self.given)
        return self.plane.coordinates(found)


def directions(count: int, closed: bool = False, first: float = 0.0) -> Tensor:
    """Return points of the unit circle, at equal angles; if closed, the first one again at last."""
    around = count - 1 if closed else count
    angles = first + 2 * math.pi * torch.arange(count, dtype=torch.float64) / around
    return torch.stack([angles.cos(), angles.sin()], 1)


def lengths(planes: Iterable[Plane], given: Given) -> tuple[int, int]:
    """Return the shape of matrices: that of what is given, or else the smallest with the planes."""
    m, n = (max(sizes) for sizes in zip(*(plane.shape for plane in planes), strict=True))
    for expr, value in given.items():
        size = torch.as_tensor(value).shape
        if len(size) == 2 and expr.shape in (MATRIX, LEFT):
            m = size[0]
        if len(size) == 2 and expr.shape in (MATRIX, RIGHT):
            n = size[1]
    return m, n
