"""Typing rule of what workers share."""

from __future__ import annotations

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import ANYTHING, ZERO
from normdsl.compiler.invariance.rules.base import Laws, Outcome, rule
from normdsl.expressions import nodes


@rule.register
def _workers_mean(node: nodes.WorkersMean, laws: Laws, group: Group) -> list[Outcome]:
    """Type a mean over workers, whose weights are all moved by one element: it is affine.

    What is one worker's own is not shared: the rotation or the signs that a frame of its matrices
    leaves free, and the slope of a transform at its loss.
    """
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "zero on every worker")]
    if x.frames:
        raise Refusal("each worker's frame is known up to a rotation or signs of its own")
    if group.each_step and x.unit not in (ZERO, None):
        raise Refusal("each worker's loss is transformed with a slope of its own")
    return [Outcome(x, "a mean over workers, all moved by the same element, is affine")]
