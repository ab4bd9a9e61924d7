"""Members of buckets: parameters with what does not change from step to step, and what does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import attrs
from torch import Tensor

from normdsl.compiler.runtime.layout import Layout
from normdsl.compiler.runtime.nonfinite import Subject
from normdsl.compiler.runtime.tuples import Neighbour


@attrs.frozen(eq=False)
class Member:
    """A parameter in a plan, with what does not change from step to step.

    Args:
        param: the parameter. layout: how it steps. group: the number of its group.
        state: its state, complete, as it is before the next step; empty once it was copied.
        done: how many steps it took. fresh: whether anything in its state was just begun.
        offset: which says when its kept values are computed, see `staggering`; None if not yet.
        origin: where its random numbers start, if the rule draws.
        neighbours: what its step reads of other parameters.
        owner: the process that computes what needs the whole matrix, by its place in the mesh.
    """

    param: Tensor
    layout: Layout
    group: int
    state: Mapping[str, Tensor]
    done: int
    fresh: bool = False
    offset: int | None = None
    origin: Tensor | None = None
    neighbours: tuple[Neighbour, ...] = ()
    owner: int | None = None

    @property
    def where(self) -> Subject:
        """The rule and the shape of the parameter, for messages."""
        return Subject(self.layout.stepper.program.declaration, tuple(self.param.shape))


class Context(NamedTuple):
    """What all parameters of a bucket step with.

    Args:
        hyper: the hyper-parameters. loss: the loss, if the rule reads it.
        moments: by name, of each parameter, if the rule reads those; its neighbours as well.
        given: whether what each of them steps from is finite, if one that is not is skipped.
        usual: likewise, whether that makes finite numbers but for an overflow on the way.
        numbers: what is computed once for all entries of a batch, for each of them.
    """

    hyper: Mapping[str, Any]
    loss: Tensor | None = None
    moments: Mapping[str, Sequence[Tensor]] = {}
    given: Tensor | None = None
    usual: Tensor | None = None
    numbers: Sequence[Mapping[str, Any]] = ()
