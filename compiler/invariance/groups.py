"""Groups of reparametrisations; each is one declaration: how W moves, and how to draw an element.

W = ρ(g) W̃ with ρ acting on the rows, the columns or the entries of W, by a scalar unit, by a shift
or by transposing; the loss is the same function of the weights up to a power of the unit. G then
moves by the dual action. On several parameters a group acts space by space: what acts on rows
acts on spaces of outputs, what acts on columns on those of inputs; in an inner space vectors move
by M and forms by M⁻ᵀ, so that what is contracted over it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
import sympy

from normdsl.compiler.invariance.drawn import (
    invertible,
    permutation,
    positive,
    rotation,
    signed_permutation,
    signs,
)
from normdsl.compiler.invariance.laws import FIXED, INVARIANT, ONE, ZERO, Index, Law
from normdsl.compiler.invariance.stacking import acting
from normdsl.errors import NormdslError, kind, shown
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
from normdsl.near import did_you_mean, module_face

if TYPE_CHECKING:
    import numpy as np

    Draw = Callable[[np.random.Generator, int], np.ndarray]


#: What a stream is the transpose of, in a run with transposed weights, if not of itself.
MIRRORED = {
    Source.INPUT_MOMENT: Source.OUTPUT_MOMENT,
    Source.OUTPUT_MOMENT: Source.INPUT_MOMENT,
}


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


_A, _B = Action("A", GENERAL, invertible), Action("B", GENERAL, invertible)
_P, _Q = Action("P", ORTHOGONAL, rotation), Action("Q", ORTHOGONAL, rotation)

affine = Group("affine", "W = A W̃ B with A, B invertible", rows=_A, cols=_B)
left_affine = Group("left_affine", "W = A W̃ with A invertible", rows=_A)
right_affine = Group("right_affine", "W = W̃ B with B invertible", cols=_B)
orthogonal = Group("orthogonal", "W = P W̃ Q with P, Q orthogonal", rows=_P, cols=_Q)
left_orthogonal = Group("left_orthogonal", "W = P W̃ with P orthogonal", rows=_P)
right_orthogonal = Group("right_orthogonal", "W = W̃ Q with Q orthogonal", cols=_Q)
scale = Group("scale", "W = S ∘ W̃ with every S_ij > 0", entries=Action("S", POSITIVE, positive))
row_column_scale = Group(
    "row_column_scale",
    "W = D W̃ E with D, E diagonal and positive",
    rows=Action("D", POSITIVE, positive),
    cols=Action("E", POSITIVE, positive),
)
sign_flips = Group(
    "sign_flips", "W = S ∘ W̃ with every S_ij = ±1", entries=Action("S", SIGNS, signs)
)
signed_permutations = Group(
    "signed_permutations",
    "W = P W̃ Q with P, Q permutations with signs",
    rows=Action("P", SIGNED_PERMUTATION, signed_permutation),
    cols=Action("Q", SIGNED_PERMUTATION, signed_permutation),
)
permutations = Group(
    "permutations",
    "W = W̃ with all its entries permuted",
    entries=Action("Π", PERMUTATION, permutation),
)
#: In a rule over layers, all of them have the same c.
uniform_scale = Group("uniform_scale", "W = c W̃ with c > 0", weight_unit=1)
loss_scale = Group("loss_scale", "f = c f̃ with c > 0", loss_unit=1)
loss_transform = Group(
    "loss_transform", "f = φ(f̃), another increasing φ at each step", loss_unit=1, each_step=True
)
translation = Group("translation", "W = W̃ + T with T constant", shift=True)
transpose = Group("transpose", "W = W̃ᵀ", swap=True)
_WITH = "a space shared by parameters: its vectors by M, its forms by M⁻ᵀ, M"
gauge = Group("gauge", f"{_WITH} invertible", inner=Action("M", GENERAL, invertible))
orthogonal_gauge = Group(
    "orthogonal_gauge", f"{_WITH} orthogonal", inner=Action("M", ORTHOGONAL, rotation)
)
scale_gauge = Group(
    "scale_gauge", f"{_WITH} diagonal and positive", inner=Action("M", POSITIVE, positive)
)
permutation_gauge = Group(
    "permutation_gauge",
    f"{_WITH} a permutation with signs",
    inner=Action("M", SIGNED_PERMUTATION, signed_permutation),
)

#: Every group of one matrix, in the order of reports.
ALL = (
    affine,
    left_affine,
    right_affine,
    orthogonal,
    left_orthogonal,
    right_orthogonal,
    scale,
    row_column_scale,
    sign_flips,
    signed_permutations,
    permutations,
    uniform_scale,
    loss_scale,
    loss_transform,
    translation,
    transpose,
)
#: The groups of parameters that share spaces.
GAUGES = (gauge, orthogonal_gauge, scale_gauge, permutation_gauge)
_EVERY = (*GAUGES, *ALL)
_NAMES = tuple(group.name for group in (*ALL, *GAUGES))

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.groups", _NAMES, ("ALL", "Group", "named"))


def named(name: Group | str) -> Group:
    """Return the group called `name`, or a group as it is.

    Raises:
        NormdslError: if there is none.
    """
    if isinstance(name, Group):
        return name
    for group in _EVERY:
        if group.name == name:
            return group
    raise NormdslError(
        f"check the group {shown(name)}",
        why="there is no group of that name"
        if isinstance(name, str)
        else f"{kind(name)} is not a group",
        hint=did_you_mean(name, _NAMES, "the groups are"),
    )


def several(
    names: Group | str | Iterable[Group | str] | None, ports: tuple[Port, ...] = ()
) -> tuple[Group, ...]:
    """Return the groups of a list, or of a text with commas, each once; all of them for None.

    Args:
        names: the groups. ports: the parameters of the rule, if it has several.

    Raises:
        NormdslError: for a list that is empty, or of what are no groups.
    """
    if names is None:
        return tuple(group for group in _EVERY if group.acts_on(ports))
    names = [x.strip() for x in names.split(",")] if isinstance(names, str) else names
    listed = list(names) if isinstance(names, Iterable) else [names]
    if not listed:
        raise NormdslError(
            "check no group at all",
            why="a report is over one group or more",
            hint='pass some, as in rule.check(["affine", "scale"]), or leave them out for all',
        )
    return tuple(dict.fromkeys(map(named, listed)))


def require_acting(group: Group, rule: str, ports: tuple[Port, ...]) -> None:
    """Refuse a group that does nothing to the parameters of a rule.

    Raises:
        NormdslError: with what the group acts on.
    """
    if group.acts_on(ports):
        return
    names = " and ".join(port.name for port in ports)
    raise NormdslError(
        f"check {group} of {rule}",
        why=f"it does not act on {names}: {group.formula}"
        if names
        else f"the rule has one matrix W, and no space that parameters share: {group.formula}",
        hint='declare the parameters: A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"); or check one '
        "of nd.groups.ALL",
    )
