"""The LMO of a combination of norms of one matrix, for which there is no closed form.

Found by ADMM over the graphs {(X, r): ‖X‖ ≤ r} of the norms, with a fixed number of steps, and
scaled onto the unit ball. Projecting onto a graph takes an ℓ1, ℓ2 or ℓ∞ of a profile of X: the
sizes of its entries, its singular values, the lengths of its rows or columns.
"""

from __future__ import annotations

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.shapes import Shape
from normdsl.norms.base import Norm, Scaled
from normdsl.norms.entrywise import Entrywise
from normdsl.norms.gauges import Lp
from normdsl.norms.lines import Lines
from normdsl.norms.unitary import Unitary
from normdsl.show.notation import Notation, Piece


@attrs.frozen
class Graph:
    """A norm as the iteration knows it: weight · ℓp(profile of X).

    Args:
        place: "entries", "singular", "rows" or "cols". p: 1, 2 or ∞. weight: the factor.
    """

    place: str
    p: float
    weight: float = 1.0


@attrs.frozen(eq=False, repr=False)
class Iterated(Operation):
    """argmin ⟨arg, X⟩ over φ(‖X‖_1, …, ‖X‖_k) ≤ 1, by iteration.

    Args:
        arg: M. parts: the norms. gauge: φ. steps: how many iterations.
    """

    footprint = Footprint.MATRIX
    role = Role.LMO
    commutes_with_transpose = False

    arg: Expr
    parts: tuple[Norm, ...]
    gauge: Gauge
    steps: int

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """M."""
        return (self.arg,)

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """M, and the weights of the norms."""
        return self.children

    def _infer_shape(self) -> Shape:
        require_steps(self.steps)
        return self.arg.shape

    def _notate(self, n: Notation) -> Piece:
        return n.call(f"lmo{exponent(self.gauge):g}", self.arg, *(n(p) for p in self.parts))


def require_steps(steps: object) -> None:
    """Refuse a number of iterations that does nothing, or that would take forever.

    Raises:
        DeclarationError: if it is not a whole number from 1 to 100,000.
    """
    if type(steps) is not int or not 1 <= steps <= 100_000:
        raise DeclarationError(
            f"iterate the LMO of a combination {steps!r} times",
            why="the number of steps must be a whole number from 1 to 100,000",
            hint="use steps=1000",
        )


def graph(norm: Norm) -> Graph:
    """Return a norm as the iteration knows it.

    Raises:
        DeclarationError: if it does not.
    """
    match norm:
        case Scaled(factor=Constant(value=c), base=base):
            known = graph(base)
            return attrs.evolve(known, weight=known.weight * float(c))
        case Entrywise(gauge=g):
            return Graph("entries", exponent(g))
        case Unitary(gauge=g):
            return Graph("singular", exponent(g))
        case Lines(inner=i, outer=g, rows=rows) if i.round:
            return Graph("rows" if rows else "cols", exponent(g))
    raise _refused(str(norm))


def transposed(norm: Norm) -> Norm:
    """Return X ↦ ‖Xᵀ‖ for a norm that the iteration knows."""
    match norm:
        case Scaled(base=base):
            return attrs.evolve(norm, base=transposed(base))
        case Lines(rows=rows):
            return attrs.evolve(norm, rows=not rows)
    return norm


def exponent(gauge: Gauge) -> float:
    """Return p of ℓ1, ℓ2 and ℓ∞.

    Raises:
        DeclarationError: for other gauges.
    """
    known = {0.0: float("inf"), 0.5: 2.0, 1.0: 1.0}
    p = known.get(float(gauge.inverse)) if isinstance(gauge, Lp) else None
    if p is None:
        raise _refused(f"the gauge {gauge}")
    return p


def _refused(what: str) -> DeclarationError:
    return DeclarationError(
        f"find the LMO of a combination with {what}",
        why="the iteration projects on ℓ1, ℓ2 and ℓ∞ of entries, singular values and lengths of "
        "rows or columns, and on multiples of them by numbers",
        hint="combine those, or use nd.infimal, whose LMO is exact for all norms",
    )
