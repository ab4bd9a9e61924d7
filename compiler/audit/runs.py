"""Driving any torch optimizer: parameters, a loss at each step, the weights and states left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from normdsl.compiler.audit.surroundings import seed_everything
from normdsl.errors import NormdslError, kind, shown

#: The loss at a step, as a function of all parameters.
Loss = Callable[[Sequence[Tensor], int], Tensor]


class RefusedError(NormdslError):
    """An optimizer could not be built, or raised in a step."""


@attrs.frozen
class Subject:
    """An optimizer under audit.

    Args:
        name: how reports call it.
        factory: takes a list of parameters and returns a `torch.optim.Optimizer`.
        options: the options that were changed, for people; "defaults" if none.
        closure: whether its step wants a closure that evaluates the loss.
    """

    name: str
    factory: Callable[[list[Parameter]], Any]
    options: str = "defaults"
    closure: bool = False

    def drive(self, starts: Sequence[Tensor], seed: int = 0) -> Drive:
        """Return the optimizer on parameters that start at copies of `starts`.

        Raises:
            RefusedError: if the factory raises or returns something else.
        """
        seed_everything(seed)
        params = [
            Parameter(s.detach().clone(memory_format=torch.contiguous_format)) for s in starts
        ]
        if not callable(self.factory):
            raise RefusedError(
                f"audit {shown(self.factory)}",
                why=f"{kind(self.factory)} cannot be called on parameters",
                hint="pass a class, a function or a rule: nd.audit(package.Class)",
            )
        try:
            optimizer = self.factory(params)
        except Exception as error:
            raise _refused(f"build {self.name} ({self.options})", error) from error
        if not isinstance(optimizer, Optimizer):
            raise RefusedError(
                f"audit {self.name}",
                why=f"called on parameters, it returned a {type(optimizer).__name__}",
                hint="pass a function of a list of parameters that returns a torch.optim.Optimizer",
            )
        train = getattr(optimizer, "train", None)
        if callable(train):
            train()
        return Drive(self, params, optimizer)

    def run(self, starts: Sequence[Tensor], loss: Loss, steps: int, seed: int = 0) -> Run:
        """Take steps from `starts`; return every iterate and every state.

        Raises:
            RefusedError: if the optimizer raises.
        """
        drive = self.drive(starts, seed)
        weights, states = [drive.weights()], [drive.state()]
        for step in range(steps):
            drive.advance(loss, step)
            weights.append(drive.weights())
            states.append(drive.state())
        return Run(weights, states)


@attrs.frozen(eq=False)
class Run:
    """A run.

    Args:
        weights: copies of all parameters, before the first step and after each.
        states: copies of all state tensors by name, likewise.
    """

    weights: list[list[Tensor]]
    states: list[dict[str, Tensor]]


@attrs.frozen(eq=False)
class Drive:
    """An optimizer with its parameters, ready to step."""

    subject: Subject
    params: list[Parameter]
    optimizer: Optimizer

    def advance(self, loss: Loss, step: int) -> list[Tensor]:
        """Take one step; return copies of the gradients it was given.

        Raises:
            RefusedError: if the optimizer raises.
        """
        given: list[Tensor] = []

        def evaluate() -> Any:
            with torch.enable_grad():
                for p in self.params:
                    p.grad = None
                value = loss(self.params, step)
                value.backward()  # type: ignore[no-untyped-call]
                for p in self.params:
                    p.grad = None if p.grad is None else p.grad.contiguous()
            given[:] = [p.grad.clone() for p in self.params if p.grad is not None]
            return value.detach()

        try:
            if self.subject.closure:
                self.optimizer.step(evaluate)
            else:
                evaluate()
                self.optimizer.step()
        except Exception as error:
            asked = f"take a step of {self.subject.name} ({self.subject.options})"
            raise _refused(asked, error) from error
        return given

    def weights(self) -> list[Tensor]:
        """Return copies of the parameters."""
        return [p.detach().clone() for p in self.params]

    def state(self) -> dict[str, Tensor]:
        """Return copies of the state tensors, by name."""
        return {name: x.clone() for name, x in self.slots()}

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the state tensors themselves, each with its name."""
        number = {id(p): str(k) for k, p in enumerate(self.params)}
        for key, value in self.optimizer.state.items():
            # To write out a tensor takes as long as many steps: only what is no parameter.
            name = number[id(key)] if id(key) in number else str(key)
            yield from _tensors(name, value)


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors inside a nested state."""
    if isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(f"{name}.{key}", part)
    elif isinstance(value, list | tuple):
        for k, part in enumerate(value):
            yield from _tensors(f"{name}[{k}]", part)


def _refused(asked: str, error: Exception) -> RefusedError:
    if isinstance(error, NormdslError):
        return RefusedError(asked, why=f"cannot {error.asked}: {error.why}", hint=error.hint)
    text = " ".join(str(error).split())
    text = text if len(text) <= 200 else text[:200] + " …"
    return RefusedError(
        asked,
        why=f"{type(error).__name__}: {text}" if text else type(error).__name__,
        hint="bind what it needs first, as in functools.partial(factory, lr=0.1)",
    )
