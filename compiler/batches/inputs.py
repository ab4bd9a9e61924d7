"""What a batch of matrices steps from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normdsl.compiler.layouts.shards import whole
from normdsl.compiler.lowering import refresh
from normdsl.errors import GradientError
from normdsl.expressions.nodes import Across

#: Scalars of all layers, and what a batch contributed to them, by their names.
Known = dict[str, tuple[Tensor, ...]]


class Inputs(NamedTuple):
    """What a batch of matrices of one size steps from.

    A tuple, which `torch.compile` can build inside a graph.

    Args:
        weights: the matrices, count × m × n. grads: their gradients, likewise.
        states: per state of the rule, its values, count × ….
        t: step index from 1, a scalar for all or count × 1 × 1.
        loss: value of the loss, if known. hyper: the hyper-parameters.
        moments: per moment of the layer that the rule reads, its values, count × ….
        phase: what to do with values kept between steps, see `lowering.refresh`.
        due: the matrices whose kept values are computed, if it is to be done; None for all.
        kept: kept values and what turns along with them, once it is done; see `Plan.renewed`.
        counted: for each matrix whether it counts among all layers, count × 1 × 1; None for yes.
        stream: of its random numbers, count × 1 × 1. places: its entries' numbers there.
        numbers: what is computed once for all entries, if it is known.
        everywhere: what these matrices contribute to a scalar of all layers → what all those of
            their parameters do, of which other processes have some; None if none has.
    """

    weights: Tensor
    grads: Tensor
    states: Sequence[Tensor]
    t: Tensor
    loss: Tensor | None
    hyper: Mapping[str, Any]
    moments: Mapping[str, Tensor] = MappingProxyType({})
    phase: int = refresh.FIRST
    counted: Tensor | None = None
    stream: Tensor | None = None
    places: Tensor | None = None
    numbers: Mapping[str, Any] | None = None
    everywhere: Callable[[Tensor], Tensor] | None = None
    due: slice | None = None
    kept: Sequence[Tensor] | None = None

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many matrices there are."""
        return self.weights.shape[0]

    def part(self, which: slice) -> Inputs:
        """Return what some of the matrices step from: all of those that are due, or none."""
        each = {
            name: x[which]
            for name in ("weights", "grads", "counted", "stream", "places")
            if (x := getattr(self, name)) is not None
        }
        several: dict[str, Any] = {
            name: [x[which] for x in found]
            for name in ("states", "kept")
            if (found := getattr(self, name)) is not None
        }
        moments = {name: x[which] for name, x in self.moments.items()}
        known = self.numbers or {}
        numbers = {name: _part(x, which) for name, x in known.items()} if known else None
        idle = self.due is not None and not self.due.start <= which.start < self.due.stop
        return self._replace(
            **each,
            **several,
            moments=moments,
            t=_part(self.t, which),
            numbers=numbers,
            phase=refresh.KEEP if idle else self.phase,
            due=None,
        )


class Shares(NamedTuple):
    """What matrices that several processes hold contribute to what all layers have in common.

    Args:
        survey: (scalar, what is known) → what each of them contributes, count × 1 × 1.
        places: (number of a phase, what is known) → where they are in an evaluation of the loss,
            then its directions: of all what this process has, in one vector.
        counted: for each whether it counts, count × 1 × 1; None for yes.
        weights: what this process has of them. grads: of their gradients. count: how many.
    """

    survey: Callable[[Across, Known], Tensor]
    places: Callable[[int, Known], list[Tensor]]
    counted: Tensor | None
    weights: Tensor
    grads: Tensor
    count: int  # type: ignore[assignment]


def _part(number: Any, which: slice) -> Any:
    """Return what belongs to some of the matrices, of a number for each; one for all as it is."""
    return number[which] if isinstance(number, Tensor) and number.ndim else number


def as_loss(value: Any) -> Tensor | None:
    """Return a loss as a tensor, a number on the host in double precision.

    Raises:
        GradientError: if it is not one number.
    """
    if value is None:
        return None
    if isinstance(value, Real):
        return on_the_host(float(value))
    value = whole(value)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return value if value.is_floating_point() else value.float()
    raise GradientError(
        "take a step with the loss " + str(value)[:50],
        why="a rule reads the loss as one real number",
        hint="pass the mean loss, opt.step(loss=loss), or let the closure return it",
    )


def on_the_host(number: float | Tensor) -> Tensor:
    """Return a number as a tensor on the host, in double precision; one of a device stays there."""
    if isinstance(number, Tensor):
        return number.double() if number.device.type == "cpu" else number
    return torch.tensor(number, dtype=torch.float64, device="cpu")
