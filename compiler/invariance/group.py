"""What a group is: how W moves, place by place, and how an element is drawn.

W = ρ(g) W̃ with ρ acting on the rows, the columns or the entries of W, by a scalar unit, by a shift
or by transposing; the loss is the same function of the weights up to a power of the unit. G then
moves by the dual action. On several parameters a group acts space by space: what acts on rows
acts on spaces of outputs, what acts on columns on those of inputs; in an inner space vectors move
by M and forms by M⁻ᵀ, so that what is contracted over it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
import sympy

from normdsl.compiler.invariance import drawn
from normdsl.compiler.invariance.laws import FIXED, INVARIANT, ONE, ZERO, Index, Law
from normdsl.compiler.invariance.stacking import acting
from normdsl.errors import DeclarationError
from normdsl.expressions.matrix_classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    POSITIVE,
    SIGNED_PERMUTATION,
    SIGNS,
    MatrixClass,
)
from normdsl.expressions.nodes import Source, Stream
from normdsl.expressions.ports import Axis, Port, Sort, alike, of_shape, sorts
from normdsl.expressions.shapes import MATRIX, Length, Shape
from normdsl.show.page import Shown, paragraph, title

if TYPE_CHECKING:
    import numpy as np

    Draw = Callable[[np.random.Generator, int], np.ndarray]


#: What a stream is the transpose of, in a run with transposed weights, if not of itself.
MIRRORED = {
    Source.INPUT_MOMENT: Source.OUTPUT_MOMENT,
    Source.OUTPUT_MOMENT: Source.INPUT_MOMENT,
}


@attrs.frozen(repr=False)
class Action(Shown):
    """One group element acting on one place of W.

    It is made by the class of matrices it ranges over, `Action.orthogonal("P")`; with `draw`, it
    ranges over a subgroup of one's own.

    Args:
        symbol: its letter. cls: the class of matrices it ranges over.
        draw: returns a random element of a given size, as a square matrix, or as the vector of
            its diagonal if the class is diagonal.

    Example:
        >>> import normdsl as nd
        >>> import numpy as np
        >>> def halves(rng, size):  # turns the first half of the rows, and leaves the others
        ...     matrix, half = np.eye(size), size // 2
        ...     matrix[:half, :half] = nd.Action.orthogonal("P").draw(rng, half)
        ...     return matrix
        >>> first = nd.Action.orthogonal("P", halves, name="rotation of the first half")
        >>> own = nd.Group("first_half", "W = P W̃", rows=first)
        >>> polar = nd.optimizer(lambda lr=0.1: nd.W + lr * nd.spectral.lmo(nd.G))
        >>> signs = nd.optimizer(lambda lr=0.1: nd.W + lr * nd.max_entry.lmo(nd.G))
        >>> polar.check(own).answer, signs.check(own).answer
        ('invariant', 'not invariant')
    """

    symbol: str
    cls: MatrixClass
    draw: Draw = attrs.field(eq=False, repr=False)

    @property
    def index(self) -> Index:
        """The index of W it acts on."""
        return Index(self.symbol, self.cls)

    def __str__(self) -> str:
        return f"{self.symbol}, {self.cls.name}"

    @classmethod
    def invertible(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of invertible matrices.

        Args:
            symbol: its letter.
            draw: for a subgroup, `draw(rng, size)` returns a random element of it.
            name: what proofs call the subgroup. verb: what it does to an index, "rotated".

        Raises:
            DeclarationError: if what is drawn is not of the class.
        """
        return _ranging(symbol, GENERAL, drawn.invertible, draw, name, verb)

    @classmethod
    def orthogonal(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of orthogonal matrices; arguments as for `invertible`."""
        return _ranging(symbol, ORTHOGONAL, drawn.rotation, draw, name, verb)

    @classmethod
    def positive(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of positive factors, drawn as vectors; arguments as for `invertible`."""
        return _ranging(symbol, POSITIVE, drawn.positive, draw, name, verb)

    @classmethod
    def signs(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of signs ±1, drawn as vectors; arguments as for `invertible`."""
        return _ranging(symbol, SIGNS, drawn.signs, draw, name, verb)

    @classmethod
    def permutation(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of permutations; arguments as for `invertible`."""
        return _ranging(symbol, PERMUTATION, drawn.permutation, draw, name, verb)

    @classmethod
    def signed_permutation(
        cls, symbol: str, draw: Draw | None = None, *, name: str = "", verb: str = ""
    ) -> Action:
        """Return an action of permutations with signs; arguments as for `invertible`."""
        return _ranging(symbol, SIGNED_PERMUTATION, drawn.signed_permutation, draw, name, verb)


def _ranging(
    symbol: str, cls: MatrixClass, usual: Draw, own: Draw | None, name: str, verb: str
) -> Action:
    """Return an action over a class of matrices, or over a subgroup with draws of its own."""
    if own is None:
        return Action(symbol, cls, usual)
    title = name or f"{cls.name} of a subgroup"
    _require_members(name or cls.name, cls, own)
    inside = attrs.evolve(cls, name=title, inside=(cls,), verb=verb or cls.verb)
    return Action(symbol, inside, own)


def _require_members(name: str, cls: MatrixClass, draw: Draw) -> None:
    """Refuse draws that are not of a class: typing believes what the class says of them."""
    import numpy as np

    for size in (2, 3, 4):
        x = np.asarray(draw(np.random.default_rng(size), size), dtype=float)
        shape = (size,) if cls.diagonal else (size, size)
        if x.shape == shape and np.isfinite(x).all() and drawn.is_member(cls, x):
            continue
        raise DeclarationError(
            f"make an action of {name} matrices by draws of one's own",
            why=f"for size {size} the draw gives an array of shape {x.shape} that is not "
            f"{cls.name}" + (", as the vector of its diagonal" if cls.diagonal else ""),
            hint=f"return an array of shape {shape}, or choose another class: nd.Action.invertible",
        )


@attrs.frozen(repr=False)
class Group(Shown):
    """A group of reparametrisations.

    Args:
        name: its name. formula: how W and the loss move, for people.
        rows: what acts on the row index of W. cols: on the column index. entries: on each entry.
        weight_unit: exponent of the scalar unit c in W. loss_unit: its exponent in the loss.
        each_step: whether c is another number at every step, because the loss itself goes through
            another increasing function at every step.
        shift: whether a constant array is added to W. swap: whether W is transposed.
        inner: what acts on a space that parameters share, one on vectors and one on forms there.
        ports: the parameters it acts on, if the rule has several; what acts on rows and columns
            then acts on the spaces of outputs and inputs.

    Example:
        >>> import normdsl as nd
        >>> print(nd.groups.affine.formula)
        W = A W̃ B with A, B invertible
        >>> [group.name for group in nd.groups.ALL][:3]
        ['affine', 'left_affine', 'right_affine']
    """

    name: str
    formula: str
    rows: Action | None = None
    cols: Action | None = None
    entries: Action | None = None
    weight_unit: int = 0
    loss_unit: int = 0
    each_step: bool = False
    shift: bool = False
    swap: bool = False
    inner: Action | None = None
    ports: tuple[Port, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The parts of a group element."""
        found = (self.rows, self.cols, self.entries, self.inner)
        return tuple(a for a in found if a is not None)

    def on(self, ports: tuple[Port, ...]) -> Group:
        """Return the group as it acts on the parameters of a rule; on none, as it acts on W."""
        return attrs.evolve(self, ports=ports)

    def acts_on(self, ports: tuple[Port, ...]) -> bool:
        """Return whether it does anything to parameters, or to W if there are none."""
        if not ports:
            return self.inner is None
        where = {self.rows: Sort.OUTPUT, self.cols: Sort.INPUT, self.inner: Sort.INNER}
        del where[None]
        found = sorts(ports).values()
        free = self.entries or self.weight_unit or self.loss_unit or self.shift
        return not self.swap and bool(free or any(sort in found for sort in where.values()))

    @property
    def weights(self) -> Law:
        """The law of W; of several parameters, that of the first."""
        return self.of_weights(self.ports[0] if self.ports else None)

    def of_weights(self, port: Port | None = None) -> Law:
        """Return the law of W, or of the weights of one of several parameters."""
        unit, offset = sympy.Integer(self.weight_unit), ONE if self.shift else ZERO
        if port is not None:
            rows, cols = map(self._along, port.axes)
            return Law(rows, cols, self._entries(port), unit, offset)
        rows, cols, entries = (
            FIXED if a is None else a.index for a in (self.rows, self.cols, self.entries)
        )
        twin = Stream(Source.WEIGHTS, where=None) if self.swap else None
        return Law(rows, cols, entries, unit, offset, twin)

    def acting(self, length: Length) -> Index:
        """Return what acts on an axis of a length, up to the inverse transpose."""
        if self.ports:
            return on_spaces(self).get(length, FIXED)
        return acting(self.weights, length)

    def entrywise(self, shape: Shape) -> tuple[Index, ...]:
        """Return what acts on the entries of arrays of the shape of weights."""
        if self.ports:
            return tuple(map(self._entries, of_shape(self.ports, shape)))
        return (self.weights.entries,) if shape == MATRIX else ()

    def _along(self, axis: Axis) -> Index:
        found = self.acting(axis.length)
        inner = [space for space, sort in sorts(self.ports).items() if sort is Sort.INNER]
        return found.dual if axis.dual and axis.length in inner else found

    def _entries(self, port: Port) -> Index:
        action = self.entries
        return FIXED if action is None else Index(f"{action.symbol}_{port.name}", action.cls)

    def of(self, stream: Stream) -> Law | None:
        """Return the law of a stream, perhaps that of one of several parameters; None if none."""
        port = stream.port
        if port is None:
            return self.law(stream.source)
        if port not in self.ports or (self.shift and port in alike(self.ports)):
            return None
        w = self.of_weights(port)
        if stream.source is Source.WEIGHTS:
            return w
        unit = sympy.Integer(self.loss_unit - self.weight_unit)
        return Law(w.rows.dual, w.cols.dual, w.entries.dual, unit)

    def law(self, source: Source) -> Law | None:
        """Return the law of a stream; None if it has none.

        A layer y = W x with W = P W̃ Qᵀ is the layer ỹ = W̃ x̃ between x̃ = Qᵀx and y = P ỹ, so its
        inputs and the gradients g at its outputs are x = Q⁻ᵀ x̃ and g = P⁻ᵀ g̃, by the same dual
        action as G = E[g xᵀ]. A scalar unit is put on the side of the outputs. What acts on
        entries or shifts W is done to the weights before the layer sees them: x and g stay.
        Transposed, the layer runs backwards: inputs and output gradients change places.
        """
        w = self.weights
        twin = Stream(MIRRORED.get(source, source), where=None) if self.swap else None
        gradient_unit = sympy.Integer(self.loss_unit - self.weight_unit)
        match source:
            case Source.WEIGHTS:
                return w
            case Source.GRADIENT:
                return Law(w.rows.dual, w.cols.dual, w.entries.dual, gradient_unit, twin=twin)
            case Source.INPUT_MOMENT:
                return Law(w.cols.dual, w.cols.dual, twin=twin)
            case Source.OUTPUT_MOMENT:
                return Law(w.rows.dual, w.rows.dual, unit=2 * gradient_unit, twin=twin)
            case Source.LOSS if self.each_step:
                return None
            case Source.LOSS:
                return Law(unit=sympy.Integer(self.loss_unit), twin=twin)
            case Source.STEP | Source.ROWS | Source.COLS:
                return INVARIANT
            case _:
                return None

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<group {self.name}: {self.formula}>"

    def _repr_html_(self) -> str:
        return title(self.name) + paragraph(self.formula)


@lru_cache(maxsize=256)
def on_spaces(group: Group) -> Mapping[Length, Index]:
    """Return what acts on each space of a group's parameters, by letters of their own."""
    actions = {Sort.OUTPUT: group.rows, Sort.INPUT: group.cols, Sort.INNER: group.inner}
    found = sorts(group.ports)
    acted: dict[Length, Index] = {}
    for space, sort in found.items():
        action, several = actions[sort], list(found.values()).count(sort) > 1
        if action is not None:
            symbol = f"{action.symbol}_{space.name}" if several else action.symbol
            acted[space] = Index(symbol, action.cls)
    return acted
