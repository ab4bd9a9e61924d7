"""Groups of reparametrisations; each is one declaration: how W moves, and how to draw an element.

W = ρ(g) W̃ with ρ acting on the rows, the columns or the entries of W, or by a scalar unit; the loss
is the same function of the weights up to a power of the unit. G then moves by the dual action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import sympy

from normdsl.classes import GENERAL, ORTHOGONAL, POSITIVE, MatrixClass
from normdsl.compiler.invariance.laws import FIXED, INVARIANT, Index, Law
from normdsl.errors import NormdslError
from normdsl.nodes import Source

if TYPE_CHECKING:
    import numpy as np

    Draw = Callable[[np.random.Generator, int], np.ndarray]


@attrs.frozen
class Action:
    """One group element acting on one place of W.

    Args:
        symbol: its letter. cls: the class of matrices it ranges over.
        draw: returns a random element of a given size, as a square matrix, or as the vector of
            its diagonal if the class is diagonal.
    """

    symbol: str
    cls: MatrixClass
    draw: Draw = attrs.field(eq=False, repr=False)

    @property
    def index(self) -> Index:
        """The index of W it acts on."""
        return Index(self.symbol, self.cls)


@attrs.frozen
class Group:
    """A group of reparametrisations.

    Args:
        name: its name. formula: how W and the loss move, for people.
        rows: what acts on the row index of W. cols: on the column index. entries: on each entry.
        weight_unit: exponent of the scalar unit c in W. loss_unit: its exponent in the loss.
    """

    name: str
    formula: str
    rows: Action | None = None
    cols: Action | None = None
    entries: Action | None = None
    weight_unit: int = 0
    loss_unit: int = 0

    @property
    def actions(self) -> tuple[Action, ...]:
        """The parts of a group element."""
        return tuple(a for a in (self.rows, self.cols, self.entries) if a is not None)

    @property
    def weights(self) -> Law:
        """The law of W."""
        rows, cols, entries = (
            FIXED if a is None else a.index for a in (self.rows, self.cols, self.entries)
        )
        return Law(rows, cols, entries, sympy.Integer(self.weight_unit))

    def law(self, source: Source) -> Law:
        """Return the law of a stream."""
        w = self.weights
        match source:
            case Source.WEIGHTS:
                return w
            case Source.GRADIENT:
                unit = sympy.Integer(self.loss_unit - self.weight_unit)
                return Law(w.rows.dual, w.cols.dual, w.entries.dual, unit)
            case Source.LOSS:
                return Law(unit=sympy.Integer(self.loss_unit))
            case _:
                return INVARIANT

    def __str__(self) -> str:
        return self.name


def invertible(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a well-conditioned invertible matrix."""
    import numpy as np

    left, right = rotation(rng, size), rotation(rng, size)
    return np.asarray((left * np.exp(rng.uniform(-0.7, 0.7, size))) @ right)


def rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw an orthogonal matrix from the Haar measure."""
    import numpy as np

    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def positive(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw positive numbers within a factor e of 1."""
    import numpy as np

    return np.asarray(np.exp(rng.uniform(-1.0, 1.0, size)))


affine = Group(
    "affine",
    "W = A W̃ B with A, B invertible",
    rows=Action("A", GENERAL, invertible),
    cols=Action("B", GENERAL, invertible),
)
orthogonal = Group(
    "orthogonal",
    "W = P W̃ Q with P, Q orthogonal",
    rows=Action("P", ORTHOGONAL, rotation),
    cols=Action("Q", ORTHOGONAL, rotation),
)
scale = Group("scale", "W = S ∘ W̃ with every S_ij > 0", entries=Action("S", POSITIVE, positive))
loss_scale = Group("loss_scale", "f = c f̃ with c > 0", loss_unit=1)

#: Every group, in the order of reports.
ALL = (affine, orthogonal, scale, loss_scale)


def named(name: str) -> Group:
    """Return the group called `name`.

    Raises:
        NormdslError: if there is none.
    """
    for group in ALL:
        if group.name == name:
            return group
    raise NormdslError(
        f"check the group {name!r}",
        why="there is no group of that name",
        hint="one of: " + ", ".join(group.name for group in ALL),
    )
