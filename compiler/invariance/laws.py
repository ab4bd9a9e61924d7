"""Laws: how a value moves when the weights are reparametrised by a group element.

A value x of the original run and its counterpart x̃ of the reparametrised run satisfy

    x = c^unit · E^{∘} ∘ (P x̃ Qᵀ) + offset · T

with P, Q and E powers of the group element on the row index, the column index and the entries, and
T the shift. Where weights are transposed, x = ỹᵀ for another expression y, its mirror image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import sympy

from normdsl.compiler.invariance.coefficients import Varying, aged, begun, shown
from normdsl.expressions.expr import Expr
from normdsl.expressions.matrix_classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    TRIVIAL,
    MatrixClass,
)
from normdsl.show.text import text

ZERO = sympy.Integer(0)
ONE = sympy.Integer(1)


@attrs.frozen
class Frame:
    """The rotation, or the signs, left free by a root or an eigenbasis of `of` at a step.

    Args:
        of: the argument of the operation. kind: what is left free. age: how many steps ago.
    """

    of: Expr
    kind: str
    age: int = 0

    def show(self, names: Mapping[Expr, str]) -> str:
        """Return it as text, with the author's names for expressions."""
        ago = ("", ", a step ago")[self.age] if self.age < 2 else f", {self.age} steps ago"
        return f"{self.kind}[{text(self.of, names)}{ago}]"


@attrs.frozen
class Index:
    """What acts on one index: a power of a group element, or of a frame.

    Args:
        element: the group element's symbol, or a `Frame`. cls: the matrices it ranges over.
        power: exponent; +1 moves like the weights, −1 like the gradient (inverse transpose).
    """

    element: Any
    cls: MatrixClass
    power: sympy.Expr = ONE

    @property
    def dual(self) -> Index:
        """The inverse transpose."""
        return self if self.cls.orthogonal else index(self.element, self.cls, -self.power)

    def __str__(self) -> str:
        return self.show({})

    def show(self, names: Mapping[Expr, str]) -> str:
        """Return it as text, with the author's names for expressions."""
        if self is ANY:
            return "any"
        if self == FIXED:
            return "fixed"
        if isinstance(self.element, Frame):
            return self.element.show(names)
        if self.cls.orthogonal:
            return f"{self.cls.name} {self.element}"
        if self.cls is GENERAL and abs(self.power) == 1:
            return f"{'contra' if self.power == 1 else 'cov'}_{self.element}"
        return f"{self.element}^({self.power})" if self.power != 1 else f"{self.element}"


def words(ix: Index) -> str:
    """Return what happens to an index, in words: mixed by A, rescaled by S^(-1), left alone."""
    if ix in (FIXED, ANY):
        return "left alone"
    if isinstance(ix.element, Frame):
        kind = "signs" if ix.cls.diagonal else "a rotation"
        return f"known only up to {kind}"
    if ix.cls.orthogonal or ix.power == 1:
        return f"{ix.cls.verb} by {ix.element}"
    power = "⁻ᵀ" if ix.cls is GENERAL and ix.power == -1 else f"^({ix.power})"
    return f"{ix.cls.verb} by {ix.element}{power}"


FIXED = Index("", TRIVIAL, ZERO)
#: The index of an array that is zero, which every law describes (and of a state not settled yet).
ANY = Index("any", TRIVIAL, ZERO)


def index(element: Any, cls: MatrixClass, power: sympy.Expr = ONE) -> Index:
    """Return the index in normal form: orthogonal classes carry no power, power 0 is fixed."""
    if cls.orthogonal:
        return Index(element, cls)
    return FIXED if power == 0 else Index(element, cls, power)


def frame(of: Expr, kind: str, cls: MatrixClass = ORTHOGONAL) -> Index:
    """Return the index of a frame: what is left free by an operation on `of` at this step."""
    return Index(Frame(of, kind), cls)


def without_signs(ix: Index) -> Index:
    """Return the index of |x| where x carries a signed permutation: its plain permutation."""
    return Index(ix.element, PERMUTATION)


@attrs.frozen
class Law:
    """How a value moves.

    Args:
        rows: what acts on its row index. cols: on its column index.
        entries: what acts on its entries one by one (E above).
        unit: its exponent of the scalar unit; None if it is zero, which has every unit.
        offset: its multiple of the shift.
        twin: the expression of the other run whose transpose it is, if the group transposes.
    """

    rows: Index = FIXED
    cols: Index = FIXED
    entries: Index = FIXED
    unit: sympy.Expr | None = ZERO
    offset: sympy.Expr = ZERO
    twin: Expr | None = None

    @property
    def transposed(self) -> Law:
        """The law of the transpose."""
        return attrs.evolve(self, rows=self.cols, cols=self.rows)

    @property
    def aged(self) -> Law:
        """The law of the same value one step later: frames and coefficients are of a step ago."""
        rows, cols, entries = (
            attrs.evolve(ix, element=attrs.evolve(ix.element, age=ix.element.age + 1))
            if isinstance(ix.element, Frame)
            else ix
            for ix in (self.rows, self.cols, self.entries)
        )
        return attrs.evolve(self, rows=rows, cols=cols, entries=entries).valued(aged)

    @property
    def open(self) -> bool:
        """Whether some index is not settled yet, in a guess."""
        return self != ANYTHING and ANY in (self.rows, self.cols, self.entries)

    @property
    def begun(self) -> Law:
        """The law of the same value before the first step."""
        return self.valued(begun)

    def valued(self, value: Callable[[Any], Any]) -> Law:
        """Return it with all its exponents changed, and its shift."""
        rows, cols, entries = (
            attrs.evolve(ix, power=value(ix.power)) if ix.power.free_symbols else ix
            for ix in (self.rows, self.cols, self.entries)
        )
        unit, offset = value(self.unit), value(self.offset)
        return attrs.evolve(self, rows=rows, cols=cols, entries=entries, unit=unit, offset=offset)

    @property
    def varying(self) -> set[Varying]:
        """The coefficients in it that change from step to step."""
        places = (self.rows.power, self.cols.power, self.entries.power, self.unit, self.offset)
        powers = (x for x in places if x is not None and not x.is_Number)
        return {v for x in powers for v in x.atoms(Varying)}

    @property
    def frames(self) -> list[Frame]:
        """The frames among its indices."""
        places = (self.rows, self.cols, self.entries)
        return [ix.element for ix in places if isinstance(ix.element, Frame)]

    def __str__(self) -> str:
        return self.show({})

    def show(self, names: Mapping[Expr, str]) -> str:
        """Return it as text, with the author's names for expressions."""
        if self == ANYTHING:
            return "zero"
        parts = []
        if (self.rows, self.cols) != (FIXED, FIXED):
            parts.append(f"({self.rows.show(names)}, {self.cols.show(names)})")
        if self.entries != FIXED:
            parts.append(f"entries {self.entries}")
        if self.unit not in (ZERO, None):
            parts.append(f"unit c^({shown(self.unit, names)})" if self.unit != 1 else "unit c")
        if self.offset != ZERO:
            parts.append(shifted(self, names))
        if self.twin is not None:
            parts.append(f"transpose of {text(self.twin, names)}")
        return ", ".join(parts) if parts else "fixed"


def moved(law: Law) -> str:
    """Return how a value moves, in words: mixed by A in its rows and multiplied by c."""
    if law == ANYTHING:
        return "zero"
    parts = [words(law.entries)] if law.entries not in (FIXED, ANY) else []
    if law.rows == law.cols and law.rows not in (FIXED, ANY):
        parts.append(f"{words(law.rows)} in its rows and columns")
    else:
        parts += _sides(law)
    if law.unit not in (ZERO, None):
        parts.append(scaled(law))
    if law.offset != ZERO:
        parts.append(shifted(law))
    return " and ".join(parts) if parts else "left alone"


def _sides(law: Law) -> list[str]:
    """Return what happens to the rows and to the columns of a value, a verb of both said once."""
    sides = ((law.rows, "rows"), (law.cols, "columns"))
    told = [f"{words(ix)} in its {side}" for ix, side in sides if ix not in (FIXED, ANY)]
    verbs = {x.partition(" by ")[0] for x in told}
    if len(told) == 2 and len(verbs) == 1:
        told[1] = told[1].removeprefix(verbs.pop() + " ")
    return told


def scaled(law: Law) -> str:
    """Return what the scalar unit does to a value, in words."""
    if law.unit in (ZERO, None):
        return "left alone"
    if law.unit.has(sympy.Dummy):
        return "multiplied by some power of c"
    return "multiplied by c" if law.unit == 1 else f"multiplied by c^({law.unit})"


def shifted(law: Law, names: Mapping[Expr, str] = MappingProxyType({})) -> str:
    """Return by what a value is shifted, in words."""
    multiple = {ONE: "T", -ONE: "−T"}.get(law.offset, f"({shown(law.offset, names)}) T")
    return f"shifted by {multiple}"


INVARIANT = Law()
ANYTHING = Law(ANY, ANY, ANY, None)
