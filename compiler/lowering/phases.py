"""Phases: in which order a step evaluates the loss again, and what it asks each time."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from normdsl.compiler.lowering.refresh import inside
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Asked, Query
from normdsl.expressions.streams import W


@attrs.frozen(eq=False)
class Phase:
    """One more evaluation of the loss, with every layer at a point of its own.

    Args:
        point: where. asked: what is asked there, in the order of the answers.
        fresh: whether it is on the second sample of the step.
    """

    point: Expr
    asked: tuple[Query, ...]
    fresh: bool = False

    @property
    def directions(self) -> tuple[Expr, ...]:
        """The directions of its products with a Hessian or a Gauss-Newton matrix, in order."""
        return tuple(x.along for x in self.asked if x.along is not None)

    @property
    def kinds(self) -> tuple[Asked, ...]:
        """What is multiplied with each direction."""
        return tuple(x.asked for x in self.asked if x.along is not None)

    @property
    def curved(self) -> bool:
        """Whether the Hessian is asked about, which needs the gradient's graph."""
        return bool(self.directions) or self.reads_hessian

    @property
    def moves(self) -> bool:
        """Whether the weights leave W, so that the loss is evaluated once more."""
        return self.point != W

    @property
    def evaluates(self) -> bool:
        """Whether it is more than the evaluation that every step begins with."""
        return self.moves or self.fresh

    @property
    def reads_hessian(self) -> bool:
        """Whether the whole Hessian of each layer is asked for."""
        return any(x.asked is Asked.HESSIAN for x in self.asked)

    def products(self, entries: int) -> int:
        """Return how many products with the Hessian it takes, with so many entries of weights."""
        return len(self.directions) + entries * self.reads_hessian

    @property
    def reads_loss(self) -> bool:
        """Whether the value of the loss is asked for."""
        return any(x.asked is Asked.LOSS for x in self.asked)


def phases(roots: Iterable[Expr]) -> tuple[Phase, ...]:
    """Return the evaluations of a derived step: as few as there are points, in an order that works.

    What is asked at one point, on one sample, is asked at once, as soon as all that it depends on
    was answered.
    """
    left = [x for x in inside(roots) if isinstance(x, Query)]
    found: list[Phase] = []
    while left:
        waiting = set(left)
        ready = [q for q in left if waiting.isdisjoint(inside(q.children))]
        point, fresh = ready[0].at, ready[0].fresh
        asked = tuple(q for q in ready if q.at == point and q.fresh is fresh)
        found.append(Phase(point, asked, fresh))
        left = [q for q in left if q not in asked]
    return tuple(found)


def answers(found: Iterable[Phase]) -> dict[Expr, str]:
    """Return the code of what was answered, by what was asked."""
    asked = [q for phase in found for q in phase.asked]
    return {q: f"answers[{k}]" for k, q in enumerate(asked)}
