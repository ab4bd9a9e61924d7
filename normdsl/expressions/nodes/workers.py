"""What workers share, which run one rule, each on samples, weights and states of its own."""

from __future__ import annotations

import attrs

from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.facts import Facts
from normdsl.expressions.shapes import Shape
from normdsl.show.notation import Level, Notation, Piece


@attrs.frozen(eq=False, repr=False)
class WorkersMean(Operation):
    """Mean of a value over all workers; that of one worker is the value itself."""

    footprint = Footprint.WORKERS
    role = None
    commutes_with_transpose = True
    jumps_with = ()

    arg: Expr

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """What is averaged."""
        return (self.arg,)

    def _infer_shape(self) -> Shape:
        return self.arg.shape

    def _infer_facts(self) -> Facts:
        # Bounds, symmetry and definiteness are convex; orthogonal matrices are not.
        return attrs.evolve(self.arg.facts, orthogonal=False)

    def _notate(self, n: Notation) -> Piece:
        return n.call("mean", self.arg, sub=Piece("workers", Level.ATOM))
