"""Random elements of a group, and how they act on values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.invariance.groups import Group, on_spaces
from normdsl.compiler.invariance.laws import ANY, FIXED, Frame, Index, Law
from normdsl.compiler.invariance.stacking import Kronecker, unstacked
from normdsl.compiler.verdicts.jointly import Packing, packing
from normdsl.expressions.expr import Expr
from normdsl.expressions.ports import sorts
from normdsl.expressions.shapes import Dim


@attrs.frozen(eq=False)
class Element:
    """A random element of a group.

    Args:
        parts: one matrix or diagonal per action. c: the scalar unit. shift: T.
        packing: how the entries of several parameters stand in one row, if it acts on several.
    """

    parts: Mapping[str, Tensor]
    c: float
    shift: Tensor
    packing: Packing | None = None

    def at(self, step: int) -> Element:
        """Return the element whose scalar unit is that of a step, where it changes step by step."""
        return attrs.evolve(self, c=self.c * (1 + step))

    def move(self, group: Group, w: Tensor) -> Tensor:
        """Return the weights of the one run, given those of the other: ρ(g) W̃."""
        if self.packing is None:
            return self.act(group.weights, w)
        return self._each(group, w, lambda own, law, x: own.act(law, x))

    def back(self, group: Group, w: Tensor) -> Tensor:
        """Return ρ(g)⁻¹ W: the inverse of `move`."""
        if self.packing is None:
            return self.undo(group.weights, w)
        return self._each(group, w, lambda own, law, x: own.undo(law, x))

    def _each(
        self, group: Group, w: Tensor, change: Callable[[Element, Law, Tensor], Tensor]
    ) -> Tensor:
        """Change each of the parameters whose entries stand in a row."""
        packing = self.packing
        assert packing is not None
        rows = zip(packing.ports, packing.split(w), packing.split(self.shift), strict=True)
        changed = []
        for port, x, shift in rows:
            law = group.on(packing.ports).of_weights(port)
            changed.append(change(attrs.evolve(self, shift=shift), law, x))
        return packing.join(changed)

    def act(self, law: Law, x: Tensor) -> Tensor:
        """Return what a value with this law is, given its counterpart x̃ in the other run."""
        x = self._transposed(law.twin, x) if law.twin is not None else x
        if _acts(law.rows):
            x = self._matrix(law.rows, x.shape[-2]) @ x
        if _acts(law.cols):
            x = x @ self._matrix(law.cols, x.shape[-1]).mT
        if _acts(law.entries):
            x = (self._matrix(law.entries, x.numel()) @ x.reshape(-1)).reshape(x.shape)
        return x * self._scalar(law) + self._offset(law, x)

    def undo(self, law: Law, x: Tensor) -> Tensor:
        """Return x̃, given x: the inverse of `act`."""
        x = x - self._offset(law, x)
        if _acts(law.entries):
            entries = self._matrix(law.entries, x.numel())
            x = torch.linalg.solve(entries, x.reshape(-1)).reshape(x.shape)
        if _acts(law.rows):
            x = torch.linalg.solve(self._matrix(law.rows, x.shape[-2]), x)
        if _acts(law.cols):
            x = torch.linalg.solve(self._matrix(law.cols, x.shape[-1]), x.mT).mT
        x = x / self._scalar(law)
        # Laid out as steps leave weights: products of another layout are rounded otherwise, and
        # where nothing moves at first, that rounding would be all that is seen.
        return (x.mT if law.twin is not None else x).contiguous()

    def _offset(self, law: Law, x: Tensor) -> Tensor | float:
        if law.offset == 0:
            return 0.0
        transposed = x.shape == self.shift.mT.shape
        shift = self.shift.mT if transposed else self.shift.reshape(x.shape)
        return float(law.offset) * shift

    def _transposed(self, twin: Expr, x: Tensor) -> Tensor:
        """Return xᵀ; entries in one column stand row after row of the weights of each run."""
        m, n = self.shift.shape
        places = torch.arange(m * n).reshape(n, m).mT.reshape(-1)
        x = x[places] if twin.shape.rows is Dim.MN else x
        return (x[:, places] if twin.shape.cols is Dim.MN else x).mT

    def _scalar(self, law: Law) -> float:
        return self.c ** float(0 if law.unit is None else law.unit)

    def _matrix(self, ix: Index, size: int) -> Tensor:
        """Return the matrix that acts on an index."""
        if not _acts(ix):
            return torch.eye(size, dtype=torch.float64)
        if isinstance(ix.element, Kronecker):
            return self._stacked(ix)
        part = self.parts[ix.element]
        if ix.cls.diagonal:
            return torch.diag(part ** float(ix.power))
        part = part if ix.cls.signed or not ix.cls.monomial else part.abs()
        return part if ix.cls.orthogonal or ix.power == 1 else torch.linalg.inv(part).mT

    def _stacked(self, ix: Index) -> Tensor:
        sides = unstacked(ix)
        assert sides is not None, "what acts on entries in one column acts on rows and columns"
        pairs = zip(sides, self.shift.shape, strict=True)
        return torch.kron(*(self._matrix(side, size) for side, size in pairs))


def _acts(ix: Index) -> bool:
    """Return whether a group acts on an index; a frame is free, and left as it is."""
    return not (ix in (FIXED, ANY) or isinstance(ix.element, Frame))


def draw(group: Group, shape: tuple[int, int], seed: int) -> Element:
    """Return a random element of a group for weights of `shape`."""
    rng = np.random.default_rng(seed)
    if group.ports:
        return _on_ports(group, packing(group.ports, shape), rng)
    sizes = {"rows": shape[0], "cols": shape[1], "entries": shape[0] * shape[1]}
    places = {"rows": group.rows, "cols": group.cols, "entries": group.entries}
    parts = {
        action.symbol: torch.as_tensor(action.draw(rng, sizes[place]), dtype=torch.float64)
        for place, action in places.items()
        if action is not None
    }
    c = float(np.exp(rng.uniform(0.5, 1.5)))
    return Element(parts, c, torch.as_tensor(rng.standard_normal(shape)))


def _on_ports(group: Group, packed: Packing, rng: np.random.Generator) -> Element:
    """Return a random element of a group for several parameters."""
    actions = {"rows": group.rows, "cols": group.cols, "inner": group.inner}
    found, parts = sorts(group.ports), {}
    for space, index in on_spaces(group).items():
        action = actions[found[space].value]  # type: ignore[index]
        assert action is not None
        parts[index.element] = action.draw(rng, packed.sizes[space])  # type: ignore[index]
    if group.entries is not None:
        for port, (m, n) in zip(packed.ports, packed.shapes, strict=True):
            parts[f"{group.entries.symbol}_{port.name}"] = group.entries.draw(rng, m * n)
    tensors = {k: torch.as_tensor(x, dtype=torch.float64) for k, x in parts.items()}
    c = float(np.exp(rng.uniform(0.5, 1.5)))
    shift = torch.as_tensor(rng.standard_normal((1, packed.total)))
    return Element(tensors, c, shift, packed)
