"""Views: how a parameter is seen as matrices, which the rule's norms then measure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from normdsl.errors import GradientError, HyperparameterError
from normdsl.near import module_face
from normdsl.show.page import Shown

Sizes = tuple[int, ...]

#: What users write.
NAMES = ("flat", "stack", "swapped", "heads", "split")

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.views", NAMES, ("Blocks", "Split", "View"))


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

    def __str__(self) -> str:
        return "flat"


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
        _require(x.ndim >= 2, self, x, "it has no two last axes")
        return [x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the matrices in their old shape."""
        return pieces[0].reshape(shape)

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
        _require(x.ndim >= 2, self, x, "it has no second axis")
        return Flat().pieces(x.transpose(0, 1))

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the matrix in its old shape."""
        return pieces[0].reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)

    def __str__(self) -> str:
        return "swapped"


@attrs.frozen
class Blocks(View):
    """Equal blocks of rows (axis 0) or columns (axis 1), each a matrix: attention heads, groups.

    Args:
        count: how many blocks. axis: 0 for blocks of rows, 1 for blocks of columns.

    Example:
        >>> import normdsl as nd
        >>> print(nd.views.Blocks(4, axis=1))
        4 blocks of columns
    """

    count: int
    axis: int = 0

    def __attrs_post_init__(self) -> None:
        if not (_counts(self.count) and _whole(self.axis) and self.axis in (0, 1)):
            raise HyperparameterError(
                f"see parameters as {self.count} blocks along axis {self.axis}",
                why="blocks are of rows (axis 0) or columns (axis 1), in a whole number ≥ 1",
                hint="heads(12), or heads(12, axis=1)",
            )

    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the blocks."""
        whole = Flat().pieces(x)[0][0]
        size, rest = divmod(whole.shape[self.axis], self.count)
        why = f"its {'columns' if self.axis else 'rows'} are not {self.count} equal blocks"
        _require(rest == 0, self, x, f"{why}: {whole.shape[self.axis]}")
        if self.axis == 0:
            return [whole.reshape(self.count, size, whole.shape[1])]
        return [whole.reshape(whole.shape[0], self.count, size).transpose(0, 1)]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the blocks in their old places."""
        return (pieces[0].transpose(0, 1) if self.axis else pieces[0]).reshape(shape)

    def __str__(self) -> str:
        return f"{self.count} blocks of {'columns' if self.axis else 'rows'}"


def _hashable(each: Any) -> Any:
    return tuple(each) if isinstance(each, Iterable) else each


@attrs.frozen
class Split(View):
    """Parts of given sizes along an axis, each seen on its own: fused queries, keys and values.

    Args:
        parts: their sizes. axis: the axis that is cut.
        each: how a part is seen, one view for all, or one per part.

    Example:
        >>> import normdsl as nd
        >>> print(nd.views.Split((8, 4, 4)))
        split 8+4+4 of axis 0
    """

    parts: tuple[int, ...]
    axis: int = 0
    each: View | tuple[View, ...] = attrs.field(factory=Flat, converter=_hashable)

    def __attrs_post_init__(self) -> None:
        views = len(self._each) == len(self.parts) and all(isinstance(x, View) for x in self._each)
        if not (self.parts and _counts(*self.parts) and _whole(self.axis) and views):
            raise HyperparameterError(
                f"see parameters as: {self}",
                why="parts have whole sizes ≥ 1, axes are whole numbers, and `each` is one view or "
                "one per part",
                hint="split(512, 128, 128), or split(512, 128, 128, each=(heads(8), flat, flat))",
            )

    @property
    def _each(self) -> tuple[View, ...]:
        """How each part is seen."""
        return self.each if isinstance(self.each, tuple) else (self.each,) * len(self.parts)

    def pieces(self, x: Tensor) -> list[Tensor]:
        """Return the pieces of the parts; those of equal size are one batch."""
        legal = -x.ndim <= self.axis < x.ndim and x.shape[self.axis] == sum(self.parts)
        _require(legal, self, x, f"axis {self.axis} has not {sum(self.parts)} entries")
        found: dict[Sizes, list[Tensor]] = {}
        for view, part in zip(self._each, torch.split(x, list(self.parts), self.axis), strict=True):
            for piece in view.pieces(part):
                found.setdefault(tuple(piece.shape[1:]), []).append(piece)
        return [torch.cat(same) for same in found.values()]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the parts in their old places."""
        left = {tuple(x.shape[1:]): x for x in pieces}
        parts = []
        for view, size in zip(self._each, self.parts, strict=True):
            axis = self.axis % len(shape)
            whole = (*shape[:axis], size, *shape[axis + 1 :])
            own = []
            for count, *matrix in view.sizes(whole):
                rest = left[tuple(matrix)]
                own.append(rest[:count])
                left[tuple(matrix)] = rest[count:]
            parts.append(view.join(own, whole))
        return torch.cat(parts, self.axis)

    def __str__(self) -> str:
        views = self._each if isinstance(self.each, tuple) else (self.each,)
        inner = "" if views == (Flat(),) else ", each " + " | ".join(map(str, views))
        return f"split {'+'.join(map(str, self.parts))} of axis {self.axis}{inner}"


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


def _whole(x: Any) -> bool:
    return isinstance(x, Integral) and not isinstance(x, bool)


def _counts(*given: Any) -> bool:
    """Return whether all are whole numbers ≥ 1."""
    return all(_whole(x) and x >= 1 for x in given)


def _require(legal: bool, view: View, x: Tensor, why: str) -> None:
    if not legal:
        raise GradientError(
            f"see a parameter of shape {tuple(x.shape)} as: {view}",
            why=why,
            hint="choose another view of nd.views: flat, stack, swapped, heads(…), split(…)",
        )
