"""Views of a tensor in parts: equal blocks of rows or columns, and parts of given sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.layouts.view import Flat, Sizes, View, require
from normdsl.compiler.sharding.boxes import Box, Matrix, common, entries, whole
from normdsl.errors import HyperparameterError


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
        matrix = Flat().pieces(x)[0][0]
        size, rest = divmod(matrix.shape[self.axis], self.count)
        why = f"its {'columns' if self.axis else 'rows'} are not {self.count} equal blocks"
        require(rest == 0, self, x, f"{why}: {matrix.shape[self.axis]}")
        if self.axis == 0:
            return [matrix.reshape(self.count, size, matrix.shape[1])]
        return [matrix.reshape(matrix.shape[0], self.count, size).transpose(0, 1)]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the blocks in their old places."""
        return (pieces[0].transpose(0, 1) if self.axis else pieces[0]).reshape(shape)

    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...] | None:
        """Return where the blocks are; None if they are parts of the second axis and others."""
        ((first,),) = Flat().matrices(shape)
        if self.count == 1:
            return ((first,),)
        size, rest = divmod(shape[self.axis], self.count)
        if rest:
            return None
        block = (*first.box[: self.axis], (0, size), *first.box[self.axis + 1 :])
        first = attrs.evolve(first, box=block)
        return (tuple(first.moved(self.axis, k * size) for k in range(self.count)),)

    def within(self, shape: Sizes, share: Box) -> Blocks:
        """Return the blocks that are in a part."""
        ((*blocks,),) = self.matrices(shape) or ((),)
        return Blocks(sum(bool(x.is_within(share)) for x in blocks), self.axis)

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
        require(legal, self, x, f"axis {self.axis} has not {sum(self.parts)} entries")
        found: dict[Sizes, list[Tensor]] = {}
        for view, part in zip(self._each, torch.split(x, list(self.parts), self.axis), strict=True):
            for piece in view.pieces(part):
                found.setdefault(tuple(piece.shape[1:]), []).append(piece)
        return [torch.cat(same) for same in found.values()]

    def join(self, pieces: Sequence[Tensor], shape: Sizes) -> Tensor:
        """Return the parts in their old places."""
        left = {tuple(x.shape[1:]): x for x in pieces}
        parts = []
        for view, _, part in self._placed(shape):
            own = []
            for count, *matrix in view.sizes(part):
                rest = left[tuple(matrix)]
                own.append(rest[:count])
                left[tuple(matrix)] = rest[count:]
            parts.append(view.join(own, part))
        return torch.cat(parts, self.axis)

    def matrices(self, shape: Sizes) -> tuple[tuple[Matrix, ...], ...] | None:
        """Return where the matrices of each size are."""
        axis, found = self.axis % len(shape), dict[Sizes, list[Matrix]]()
        for view, first, part in self._placed(shape):
            pieces = view.matrices(part)
            if pieces is None:
                return None
            for x in itertools.chain(*pieces):
                found.setdefault(x.size, []).append(x.moved(axis, first))
        return tuple(map(tuple, found.values()))

    def within(self, shape: Sizes, share: Box) -> Split:
        """Return how what is in a part is split."""
        axis, parts, each = self.axis % len(shape), list[int](), list[View]()
        for view, first, part in self._placed(shape):
            start, length = share[axis]
            moved = (*share[:axis], (start - first, length), *share[axis + 1 :])
            held = common(whole(part), moved)
            if entries(held):
                parts.append(held[axis][1])
                each.append(view.within(part, held))
        return Split(tuple(parts), self.axis, tuple(each))

    def _placed(self, shape: Sizes) -> Iterator[tuple[View, int, Sizes]]:
        """Yield how each part is seen, where it begins, and its shape."""
        axis, first = self.axis % len(shape), 0
        for view, size in zip(self._each, self.parts, strict=True):
            yield view, first, (*shape[:axis], size, *shape[axis + 1 :])
            first += size

    def __str__(self) -> str:
        views = self._each if isinstance(self.each, tuple) else (self.each,)
        inner = "" if views == (Flat(),) else ", each " + " | ".join(map(str, views))
        return f"split {'+'.join(map(str, self.parts))} of axis {self.axis}{inner}"


def _whole(x: Any) -> bool:
    return isinstance(x, Integral) and not isinstance(x, bool)


def _counts(*given: Any) -> bool:
    """Return whether all are whole numbers ≥ 1."""
    return all(_whole(x) and x >= 1 for x in given)
