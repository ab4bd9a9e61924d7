"""View: what all ways to see a parameter as matrices have, and the natural one, as one matrix."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache

import attrs
import torch
from torch import Tensor

from normdsl.compiler.sharding.boxes import Box, Matrix, whole
from normdsl.errors import GradientError
from normdsl.show.page import Shown

Sizes = tuple[int, ...]


@attrs.frozen
class View(Shown, ABC):
    """A way to see a tensor as batches of matrices, and back; no entry is lost or repeated.

    Example:
        >>> import normdsl as nd
        >>> isinstance(nd.views.flat, nd.views.View)
        True
        >>> nd.views.flat.sizes((8, 3, 5, 5))
        ((1, 8, 75),)
    """

    @abstractmethod
    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the matrices of a tensor as [b, m, n], one such batch for every size of matrix.

        Raises:
            GradientError: for a tensor that cannot be seen so.
        """

    @abstractmethod
    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the tensor of `shape` that has these pieces."""

    @abstractmethod
    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...] | None:
        """Return where in a tensor of `shape` the matrices of each piece are.

        None if their entries are not adjacent along its axes.
        """

    @abstractmethod
    def within(self, shape: Sizes, share: Box) -> View:
        """Return how a part of a tensor of `shape` is seen, in which some of its matrices are.

        Args:
            share: which box the part is; each matrix is in it or has no entry there.
        """

    def sizes(self, shape: Sizes) -> tuple[tuple[int, int, int], ...]:
        """Return (b, m, n) of each piece of a tensor of `shape`.

        Raises:
            GradientError: for a tensor that cannot be seen so.
        """
        return _sizes(self, shape)


@lru_cache(maxsize=4096)
def _sizes(view: View, shape: Sizes) -> tuple[tuple[int, int, int], ...]:
    # Meta tensors have a shape and no memory.
    seen = view.pieces(torch.empty(shape, device="meta"))
    return tuple((x.shape[0], x.shape[1], x.shape[2]) for x in seen)


def require(legal: bool, view: View, x: Tensor, why: str) -> None:
    """Refuse a tensor that a view cannot see."""
    if not legal:
        raise GradientError(
            f"see a parameter of shape {tuple(x.shape)} as: {view}",
            why=why,
            hint="choose another view of nd.views: flat, stack, swapped, heads(…), split(…)",
        )


@attrs.frozen
class Flat(View):
    """One matrix: the first axis by all others.

    The matrix of a convolution, out × in·k·k, that is applied to its patches. A vector is a
    column, a scalar 1×1.

    Example:
        >>> import normdsl as nd
        >>> nd.views.flat.sizes((8, 3, 5, 5))
        ((1, 8, 75),)
    """

    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the matrix."""
        rows = x.shape[0] if x.ndim else 1
        return [x.reshape(1, rows, math.prod(x.shape[1:]))]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the matrix in its old shape."""
        return pieces[0].reshape(shape)

    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...]:
        """Return where the matrix is."""
        return ((Matrix(whole(shape), 0 if shape else None, tuple(range(1, len(shape)))),),)

    def within(self, shape: Sizes, share: Box) -> Flat:
        """Return the same, as the part is all."""
        return self

    def __str__(self) -> str:
        return "flat"
