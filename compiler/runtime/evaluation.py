"""Evaluation: the points that rules return beside the weights, put in the place of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.layouts.layout import STEP, real
from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.parameter_groups import settings
from normdsl.errors import GradientError

State = Mapping[Tensor, dict[str, Any]]
#: Key under which a state keeps the weights, bit by bit, while its point is in their place.
WEIGHTS = "training_weights"


def begin(param_groups: Iterable[Mapping[str, Any]], state: State) -> None:
    """Put points in the place of weights, for rules that have points.

    A parameter that has not stepped is where it starts, which is its point as well.
    """
    for param, name in _pointed(param_groups):
        own = state.get(param, {})
        if STEP in own and WEIGHTS not in own:
            own[WEIGHTS] = param.detach().clone()
            real(param.detach()).copy_(own[name])


def end(state: State) -> None:
    """Put the weights back."""
    for param, own in state.items():
        if isinstance(own, dict) and WEIGHTS in own:
            param.detach().copy_(own.pop(WEIGHTS))


def is_on(state: State) -> bool:
    """Return whether points are in the place of weights."""
    return any(isinstance(own, dict) and WEIGHTS in own for own in state.values())


def refuse_step(name: str) -> GradientError:
    """Return the error for a step while points are in the place of weights."""
    return GradientError(
        f"take a step of {name}",
        why="the model is at the points of opt.eval(), not at the weights that the rule steps from",
        hint="call opt.train() first, where the model is set to train as well",
    )


def _pointed(param_groups: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Tensor, str]]:
    """Yield the parameters whose rule has a point, with the name of the state that holds it."""
    for group in param_groups:
        said = settings(group)
        name = None if said.rule.evaluate is None else said.stepper.program.evaluated
        if name is not None:
            for param in parameter_groups.parameters(group):
                if isinstance(param, torch.Tensor):
                    yield param, name
