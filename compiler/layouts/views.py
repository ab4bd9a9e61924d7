"""Views: how a parameter is seen as matrices, which the rule's norms then measure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
from torch import Tensor

from normdsl.compiler.layouts.split_views import Blocks, Split
from normdsl.compiler.layouts.view import Flat, Sizes, View, require
from normdsl.compiler.sharding.boxes import Box, Matrix, whole
from normdsl.near import module_face

#: What users write.
NAMES = ("flat", "stack", "swapped", "heads", "split")

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.views", NAMES, ("Blocks", "Split", "View"))


@attrs.frozen
class Stack(View):
    """A batch of matrices [..., m, n]: experts, heads, blocks. Each steps like one of its own.

    Example:
        >>> import normdsl as nd
        >>> nd.views.stack.sizes((4, 16, 32))
        ((4, 16, 32),)
    """

    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the matrices."""
        require(x.ndim >= 2, self, x, "it has no two last axes")
        return [x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the matrices in their old shape."""
        return pieces[0].reshape(shape)

    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...]:
        """Return where the matrices are."""
        last = len(shape) - 2
        places = itertools.product(*map(range, shape[:last]))
        boxes = [(*((k, 1) for k in place), *whole(shape[last:])) for place in places]
        return (tuple(Matrix(box, last, (last + 1,)) for box in boxes),)

    def within(self, shape: Sizes, share: Box) -> Stack:
        """Return the same, as a part is a stack."""
        return self

    def __str__(self) -> str:
        return "stack"


@attrs.frozen
class Swapped(View):
    """One matrix: the second axis by all others, as of a transposed convolution (in, out, k, k).

    Example:
        >>> import normdsl as nd
        >>> nd.views.swapped.sizes((3, 8, 5, 5))
        ((1, 8, 75),)
    """

    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the matrix."""
        require(x.ndim >= 2, self, x, "it has no second axis")
        return Flat().pieces(x.transpose(0, 1))

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the matrix in its old shape."""
        return pieces[0].reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)

    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...]:
        """Return where the matrix is."""
        return ((Matrix(whole(shape), 1, (0, *range(2, len(shape)))),),)

    def within(self, shape: Sizes, share: Box) -> Swapped:
        """Return the same, as the part is all."""
        return self

    def __str__(self) -> str:
        return "swapped"


#: The first axis by all others; a convolution's out × in·k·k.
flat = Flat()
#: Matrices [..., m, n], each on its own.
stack = Stack()
#: The second axis by all others; a transposed convolution's out × in·k·k.
swapped = Swapped()


def heads(count: int, axis: int = 0) -> Blocks:
    """Return the view of `count` equal blocks of rows (axis 0) or of columns (axis 1).

    Example:
        >>> import normdsl as nd
        >>> nd.views.heads(4).sizes((16, 32))
        ((4, 4, 32),)
    """
    return Blocks(count, axis)


def split(*parts: int, axis: int = 0, each: View | Sequence[View] = flat) -> Split:
    """Return the view of a tensor cut into parts of these sizes along an axis.

    Queries, keys and values of a grouped attention: `split(512, 128, 128)`; the queries head by
    head and the others whole: `split(512, 128, 128, each=(heads(8), flat, flat))`. Heads of one
    size that lie side by side, of queries, keys and values alike, are `heads(12)`. Fused gates of
    experts [E, m, 2n]: `split(n, n, axis=-1, each=stack)`.

    Example:
        >>> import normdsl as nd
        >>> nd.views.split(8, 4, 4).sizes((16, 32))
        ((1, 8, 32), (2, 4, 32))
    """
    return Split(parts, axis, each)
