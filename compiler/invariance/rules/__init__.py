"""One typing rule per node: from the laws of its arguments to its own, or a refusal.

A rule returns every law that it can prove, each with the conditions it needs; a node without a rule
is an error, never a pass. `State` nodes are typed by induction, in `induction`; where weights are
transposed, every node is typed by its mirror image, in `mirror`.
"""

from normdsl.compiler.invariance.rules import (
    contractions,
    entrywise,
    frames,
    leaves,
    matrices,
    queries,
    stacking,
    workers,
)
from normdsl.compiler.invariance.rules.base import Outcome, outcomes, rule

__all__ = [
    "Outcome",
    "contractions",
    "entrywise",
    "frames",
    "leaves",
    "matrices",
    "outcomes",
    "queries",
    "rule",
    "stacking",
    "workers",
]
