"""Sights: how an ejected file sees a parameter as matrices, for the views that it can have."""

from __future__ import annotations

import attrs

from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.layouts.view import View
from normdsl.compiler.layouts.views import Stack


@attrs.frozen
class Sight:
    """How parameters are seen as matrices.

    Args:
        words: in words. code: the batch of matrices of a tensor x. legal: of a parameter p, whether
            it can be seen so. takes: which parameters are taken, in words.
    """

    words: str
    code: str
    legal: str
    takes: str


_FLOATING = "p.is_floating_point()"
_FLAT = Sight(
    "matrices, the first axis by all others",
    "x.reshape(1, x.shape[0] if x.ndim else 1, -1)",
    _FLOATING,
    "real parameters",
)
_STACK = Sight(
    "batches of matrices, the last two axes",
    "x.reshape(-1, *x.shape[-2:])",
    f"{_FLOATING} and p.ndim >= 2",
    "real parameters of two axes or more",
)
_NATURAL = Sight(
    "the matrices that they are",
    "x.reshape(1, *x.shape)",
    f"{_FLOATING} and p.ndim == 2",
    "real matrices",
)
_ENTRIES = attrs.evolve(_FLAT, words="vectors of all their entries")


def sight(view: View | None, stepper: Stepper) -> Sight:
    """Return how a rule's parameters are seen by a view; None is the natural one."""
    if stepper.entrywise:
        return _STACK if isinstance(view, Stack) else _ENTRIES
    if isinstance(view, Stack):
        return _STACK
    return _NATURAL if view is None and stepper.matrix_only else _FLAT
