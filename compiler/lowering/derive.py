"""Derive: norms replaced by their definitions, recursions opened into one step."""

from __future__ import annotations

import enum

import attrs

from normdsl.compiler.lowering.rewrites import RewritingPass
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.facts import NONNEGATIVE, UNIT, Facts
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes import SingularLmo, SingularNorm, WorkersMean
from normdsl.expressions.recursion import After, Before, Recursion, State, release
from normdsl.expressions.shapes import Dim, Shape
from normdsl.norms.base import NormOperation
from normdsl.norms.vectors import Entries
from normdsl.show.notation import Notation, Piece


@attrs.frozen
class Slot:
    """One state of an optimizer.

    Args:
        recursion: the recursion it belongs to. index: which of its states it is.
    """

    recursion: Recursion
    index: int

    @property
    def before(self) -> Before:
        """The state before the step: an input of the step."""
        return Before(self.recursion, self.index)

    @property
    def after(self) -> After:
        """The state after the step."""
        return After(self.recursion, self.index)

    @property
    def init(self) -> Expr:
        """Its initial value."""
        return self.recursion.inits[self.index]


class Part(enum.Enum):
    """A part of the singular value decomposition U diag(σ) Vᵀ."""

    LEFT = 0
    VALUES = 1
    RIGHT = 2


@attrs.frozen(eq=False, repr=False)
class Singular(Operation):
    """U (m×k), σ (k×1) or Vᵀ (k×n) of a matrix, k the smaller of its lengths."""

    internal = True
    footprint = Footprint.MATRIX
    role = Role.SINGULAR
    commutes_with_transpose = False
    zero_with = ()

    arg: Expr
    part: Part

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The matrix, whose singular vectors 0 does not tell."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        shapes = {
            Part.LEFT: Shape(self.arg.shape.rows, Dim.K),
            Part.VALUES: Shape(Dim.K, Dim.ONE),
            Part.RIGHT: Shape(Dim.K, self.arg.shape.cols),
        }
        return shapes[self.part]

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE if self.part is Part.VALUES else UNIT

    def _notate(self, n: Notation) -> Piece:
        return n.call(self.part.name.lower(), self.arg)


class Derivation(RewritingPass):
    """Rewrites expressions into primitive ones over `Before` states; collects the states met.

    Norm operations become what defines them, recursions are opened into one step, and means over
    workers, unless there are several, what they are of one.

    Args:
        workers: whether there may be several.
    """

    name = "derive"
    does = "norms become what defines them, and recursions one step of theirs"

    def __init__(self, workers: bool = False) -> None:
        super().__init__()
        self.workers = workers
        self.slots: dict[Before, Slot] = {}

    def _visit(self, expr: Expr) -> Expr:
        match expr:
            case NormOperation():
                return self._defined(expr, expr.definition)
            case SingularNorm(arg=x, gauge=gauge):
                return self._defined(expr, gauge.value(_singular_values(x)))
            case SingularLmo(arg=x, gauge=gauge):
                return self._defined(expr, _singular_lmo(x, gauge))
            case WorkersMean() if not self.workers:
                return self._defined(expr, expr.arg)
            case State():
                self._register(expr.recursion)
                return expr if isinstance(expr, Before) else self(opened(expr))
            case _:
                return self._rebuilt(expr)

    def _defined(self, expr: Expr, definition: Expr) -> Expr:
        return self(self.note(type(expr).__name__.lower(), type(expr).__doc__, expr, definition))

    def _register(self, recursion: Recursion) -> None:
        for i in range(len(recursion.inits)):
            slot = Slot(recursion, i)
            self.slots.setdefault(slot.before, slot)


def _singular_values(x: Expr) -> Entries:
    return Entries(Singular(x, Part.VALUES), "rows")


def _singular_lmo(x: Expr, gauge: Gauge) -> Expr:
    """Return U diag(lmo_φ(σ)) Vᵀ."""
    values = _singular_values(x)
    turned = values.map(gauge.lmo(values)) * Singular(x, Part.RIGHT)
    return Singular(x, Part.LEFT) @ turned


def opened(state: State) -> Expr:
    """Return the new value of a state in terms of the old ones."""
    return release(state.recursion.bodies[state.index], state.recursion, Before)
