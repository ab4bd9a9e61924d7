"""A declaration as pure functions: init(params), update(grads, state, params)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from normdsl.compiler.runtime.batch import Inputs, stepper
from normdsl.compiler.runtime.hyper import complete
from normdsl.declaration import Declaration
from normdsl.errors import GradientError
from normdsl.schedule import Schedule

State = dict[str, Any]


class Functional:
    """Pure functions of a declaration, usable under `torch.func` transforms and differentiable.

    Parameters, gradients and each state are trees (dicts, lists, …) of tensors of one structure;
    the state is `{"t": scalar, name: tree, …}`. Nothing is changed in place.

    Args:
        declaration: the rule. schedule: how it is computed.
    """

    def __init__(self, declaration: Declaration, schedule: Schedule | None = None) -> None:
        self.declaration = declaration
        self._stepper = stepper(declaration, schedule or Schedule())
        self._names = [f.name for f in self._stepper.program.fields]

    def init(self, params: Any, **hyper: Any) -> State:
        """Return the state before the first step.

        Raises:
            GradientError: for a parameter the rule cannot take.
        """
        values = complete(self.declaration, hyper)
        leaves, tree = pytree.tree_flatten(params)
        for p in leaves:
            self._stepper.require(p)
        states = [self._stepper.init([p], values) for p in leaves]
        device = leaves[0].device if leaves else None
        state: State = {"t": torch.zeros((), dtype=torch.float64, device=device)}
        for k, name in enumerate(self._names):
            state[name] = pytree.tree_unflatten([s[k].squeeze(0) for s in states], tree)
        return state

    def update(
        self, grads: Any, state: Mapping[str, Any], params: Any, *, loss: Any = None, **hyper: Any
    ) -> tuple[Any, State]:
        """Return the parameters and the state after one step.

        Args:
            grads: gradients, a tree like `params`.
            state: from `init` or the last `update`.
            params: the parameters.
            loss: the loss at them, if the rule reads it.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: for trees that do not match, or a loss the rule needs and did not get.
        """
        values = complete(self.declaration, hyper)
        leaves, tree = pytree.tree_flatten(params)
        slopes, other = pytree.tree_flatten(grads)
        if other != tree:
            raise GradientError(
                f"update by {self.declaration.name}",
                why=f"the gradients form the tree {other}, the parameters {tree}",
                hint="pass gradients with the structure of the parameters",
            )
        if self._stepper.reads_loss and loss is None:
            raise missing_loss(self.declaration.name, "update(..., loss=value)")
        value = None if loss is None else torch.as_tensor(loss)
        clock = state["t"] + 1
        columns = [pytree.tree_leaves(state[name]) for name in self._names]
        batches = []
        for i, (p, g) in enumerate(zip(leaves, slopes, strict=True)):
            self._stepper.require(p, g)
            old = [[column[i]] for column in columns]
            batches.append(Inputs([p], [g], old, [clock], value, values))
        weights, after = [], []
        for batch, known in zip(batches, self._stepper.layers(batches), strict=True):
            new, states = self._stepper.step(batch, known)
            weights.append(new[0])
            after.append([s[0] for s in states])
        result: State = {"t": clock}
        for k, name in enumerate(self._names):
            result[name] = pytree.tree_unflatten([s[k] for s in after], tree)
        return pytree.tree_unflatten(weights, tree), result


def missing_loss(name: str, how: str) -> GradientError:
    """Return the error for a rule that reads the loss and was not given it."""
    return GradientError(
        f"take a step of {name}",
        why="the rule reads the value of the loss, and none was given",
        hint=f"call {how}",
    )


def functional(declaration: Declaration, schedule: Schedule | None = None) -> Functional:
    """Return the pure functions of a declaration."""
    return Functional(declaration, schedule)
