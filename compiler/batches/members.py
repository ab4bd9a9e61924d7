"""Members of buckets: parameters with what does not change from step to step, and what does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import attrs
from torch import Tensor

from normdsl.compiler.batches.nonfinite import Subject
from normdsl.compiler.layouts.holding import Holding, part_of
from normdsl.compiler.layouts.layout import Layout
from normdsl.compiler.layouts.shards import mesh_of, place_in
from normdsl.compiler.layouts.tuples import Neighbour
from normdsl.compiler.layouts.ways import steps_alone


@attrs.frozen(eq=False, slots=False)
class Member:
    """A parameter in a plan, with what does not change from step to step.

    Args:
        param: the parameter. layout: how it steps. group: the number of its group.
        state: its state, complete, as it is before the next step; empty once it was copied.
        done: how many steps it took. fresh: whether anything in its state was just begun.
        offset: which says when its kept values are computed, see `staggering`; None if not yet.
        origin: where its random numbers start, if the rule draws.
        neighbours: what its step reads of other parameters.
        held: what processes have of it, if several hold it and need not gather it.
        owners: of each of its matrices the process that computes what needs the whole of it, by its
            place in the mesh, if it is held so.
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
    held: Holding | None = None
    owners: tuple[int, ...] = ()

    @property
    def steps_alone(self) -> bool:
        """Whether each of several processes steps the matrices that it has whole."""
        return self.held is not None and steps_alone(self.layout, self.held)

    @cached_property
    def part(self) -> Layout | None:
        """How the matrices step that this process has whole, if others have the rest, or has all.

        None if it has none.
        """
        if self.held is None or not self.steps_alone:
            return self.layout
        return part_of(self.layout, self.held, place_in(mesh_of(self.param)))

    @property
    def numbers(self) -> list[int]:
        """Which of its matrices these are."""
        if self.held is None or not self.steps_alone:
            return list(range(sum(b for b, _, _ in self.layout.sizes)))
        return self.held.within(self.held.shares[place_in(mesh_of(self.param))])

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
