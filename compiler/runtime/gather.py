"""Gathering: what the parameters of a group step from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime import draws, parameter_groups
from normdsl.compiler.runtime.batch import as_loss
from normdsl.compiler.runtime.capture import Capture
from normdsl.compiler.runtime.clocks import Clocks
from normdsl.compiler.runtime.functional import missing_loss
from normdsl.compiler.runtime.layout import STEP, layout
from normdsl.compiler.runtime.moments import missing_moments
from normdsl.compiler.runtime.nonfinite import has_values
from normdsl.compiler.runtime.parameter_groups import Settings, settings
from normdsl.compiler.runtime.transaction import Part, require_gradient, started
from normdsl.errors import GradientError


@attrs.frozen(eq=False)
class Gathering:
    """Where an optimizer's parameters find what they step from.

    Args:
        state: of each parameter. clocks: their step counts. capture: of moments, if there is one.
        sure: whether every step that was taken was counted.
    """

    state: Mapping[Tensor, Mapping[str, Tensor]]
    clocks: Clocks
    capture: Capture | None
    sure: bool

    def parts(self, group: dict[str, Any], loss: Any, first: int = 0) -> Iterable[Part]:
        """Return what the parameters of a group that have a gradient step from.

        Args:
            group: the group. loss: the loss, if it is known.
            first: the position of its first parameter among all.

        Raises:
            GradientError: for a gradient or loss the rule cannot take.
            HyperparameterError: for a group with illegal settings.
        """
        said, hyper = settings(group), parameter_groups.hyper(group)
        stepper, value = said.stepper, _told(said, loss)
        origins = origins_of(group, first) if stepper.program.draws else {}
        for p in dict.fromkeys(parameter_groups.parameters(group)):
            if p.grad is None or not p.numel():
                continue
            own = layout(stepper, p, said.view)
            require_gradient(said.rule.name, p, p.grad)
            state = self.state.get(p, {})
            fresh = own.begins(state, p.device)
            start = origins.get(p)
            state = {**started(own, p, hyper, start), **state} if fresh else state
            done = 0 if fresh or not stepper.keeps else self.clocks.read(state[STEP], self.sure)
            moments = self._moments(said, p)
            grad = -p.grad if said.maximize else p.grad
            phase = stepper.phase(done)
            yield Part(p, own, hyper, value, moments, state, grad, phase, origin=start)

    def _moments(self, said: Settings, p: Tensor) -> dict[str, Tensor]:
        """Return the captured moments of a parameter, by name; nothing if the rule reads none."""
        if not said.stepper.moments:
            return {}
        if self.capture is None:
            how = f"{said.rule.name}(…, capture=capture)"
            raise missing_moments(said.rule.name, said.stepper.moments, how)
        seen = self.capture.moments(p)
        if seen is None:
            raise GradientError(
                f"take a step of {said.rule.name}",
                why=f"a parameter of shape {tuple(p.shape)} has a gradient, "
                "but the capture has seen no backward pass of a Linear or Conv2d with it as its "
                "weight since the last step",
                hint="capture the layer before its forward pass, and give biases and other "
                "parameters to another rule",
            )
        return {name: seen[name] for name in said.stepper.moments}


def origins_of(group: Mapping[str, Any], first: int) -> dict[Tensor, Tensor]:
    """Return where the random numbers of a group's parameters start: by name, or else position."""
    count = len(group["params"])
    names = group.get("param_names") or [str(first + k) for k in range(count)]
    pairs = zip(group["params"], names, strict=True)
    return {p: draws.origin(settings(group).seed, name, p.device) for p, name in pairs}


def _told(said: Settings, loss: Any) -> Tensor | None:
    """Return the loss, if the rule reads it."""
    if not said.stepper.reads_loss:
        return None
    value = as_loss(loss)
    if value is None:
        raise missing_loss(said.rule.name, "opt.step(closure) or opt.step(loss=value)")
    return -value if said.maximize else value


def numbered(param_groups: Iterable[dict[str, Any]]) -> Iterable[tuple[int, dict[str, Any]]]:
    """Yield groups, each with the position of its first parameter among all."""
    first = 0
    for group in param_groups:
        yield first, group
        first += len(group["params"])


def is_probe(param_groups: Iterable[dict[str, Any]]) -> bool:
    """Return whether a first step is asked for the sake of its states alone.

    `torch.distributed.checkpoint` makes states by a step from zero gradients at lr = 0, which moves
    the weights of rules that decay at a rate of their own, or needs a loss.
    """
    listed = [g for g in param_groups if g["params"]]
    rates = [g["lr"] for g in listed if "lr" in g]
    if not rates or any(isinstance(r, Tensor) and r.device.type != "cpu" for r in rates):
        return False
    asked = [p for g in listed for p in parameter_groups.parameters(g) if p.requires_grad]
    grads = [p.grad for p in asked if p.grad is not None]
    if not all(map(has_values, filter(torch.is_tensor, [*rates, *grads]))):
        return False
    if any(float(r) for r in rates) or not grads or len(grads) < len(asked):
        return False
    return not any(g.is_sparse or bool(g.any()) for g in grads)
