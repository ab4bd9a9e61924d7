"""A declaration as pure functions: init(params), update(grads, state, params)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from normdsl.compiler.runtime.ambient import as_scheduled
from normdsl.compiler.runtime.batch import as_loss, stepper
from normdsl.compiler.runtime.draws import origin
from normdsl.compiler.runtime.hyper import complete
from normdsl.compiler.runtime.layout import STEP, layout
from normdsl.compiler.runtime.moments import require_read, require_shapes
from normdsl.compiler.runtime.transaction import Part, changes, require_gradient, started
from normdsl.declaration import Declaration
from normdsl.errors import GradientError
from normdsl.schedule import Schedule

State = dict[str, Any]


class Functional:
    """Pure functions of a declaration, usable under `torch.func` transforms and differentiable.

    Parameters, gradients and each state are trees (dicts, lists, …) of tensors of one structure;
    the state is `{"t": scalar, name: tree, …}`, with the `seed` of a rule that draws. Nothing is
    changed in place. A schedule that keeps values between steps (`refresh`, an iterative
    eigenbasis) reads the clock on the host at each update: a synchronisation, and not under `vmap`
    over states.

    Args:
        declaration: the rule. schedule: how it is computed.
    """

    def __init__(self, declaration: Declaration, schedule: Schedule | None = None) -> None:
        self.declaration = declaration
        self._stepper = stepper(declaration, schedule or Schedule())
        self._names = [f.name for f in self._stepper.program.fields]

    @as_scheduled
    def init(self, params: Any, *, seed: int | Tensor = 0, **hyper: Any) -> State:
        """Return the state before the first step.

        Args:
            params: the parameters.
            seed: of the random numbers that the rule draws, a number or an integer tensor; they
                are functions of it, of the step, and of an entry's place in the tree.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: for a parameter the rule cannot take.
        """
        values = complete(self.declaration, hyper)
        leaves, tree = pytree.tree_flatten(params)
        device = leaves[0].device if leaves else torch.device("cpu")
        state: State = {"t": torch.zeros((), dtype=torch.int64, device=device)}
        if self._stepper.program.draws:
            state["seed"] = torch.as_tensor(seed, dtype=torch.int64, device=device)
        origins = self._origins(state, params)
        states = [
            started(layout(self._stepper, p), p, values, origin)
            for p, origin in zip(leaves, origins, strict=True)
        ]
        for name in self._names:
            state[name] = pytree.tree_unflatten([s[name] for s in states], tree)
        return state

    @as_scheduled
    def update(
        self,
        grads: Any,
        state: Mapping[str, Any],
        params: Any,
        *,
        loss: Any = None,
        input_moment: Any = None,
        output_moment: Any = None,
        **hyper: Any,
    ) -> tuple[Any, State]:
        """Return the parameters and the state after one step.

        Args:
            grads: gradients, a tree like `params`.
            state: from `init` or the last `update`.
            params: the parameters.
            loss: the loss at them, if the rule reads it.
            input_moment: second moments of the layers' inputs, n×n, a tree like `params`, if the
                rule reads them. output_moment: those of the gradients at their outputs, m×m.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: for trees that do not match, or a loss or moments that the rule needs
                and did not get, or got and does not read.
        """
        values = complete(self.declaration, hyper)
        leaves, tree = pytree.tree_flatten(params)
        slopes = self._like(tree, "gradients", grads)
        given = {"input_moment": input_moment, "output_moment": output_moment}
        require_read(self.declaration, given, "update(..., input_moment=…, output_moment=…)")
        seen = {name: self._like(tree, name, given[name]) for name in self.declaration.moments}
        if self._stepper.reads_loss and loss is None:
            raise missing_loss(self.declaration.name, "update(..., loss=value)")
        value = as_loss(loss)
        phase = self._stepper.phase(int(state["t"]) if self._stepper.keeps else 0)
        columns = {name: pytree.tree_leaves(state[name]) for name in self._names}
        origins, parts = self._origins(state, params), []
        for i, (p, g) in enumerate(zip(leaves, slopes, strict=True)):
            require_gradient(self.declaration.name, p, g)
            moments = {name: column[i] for name, column in seen.items()}
            matrix = p if p.ndim < 2 else p.flatten(1)
            require_shapes(self.declaration.name, matrix, {k: [x] for k, x in moments.items()})
            old = {STEP: state["t"], **{name: column[i] for name, column in columns.items()}}
            own = layout(self._stepper, p)
            parts.append(Part(p, own, values, value, moments, old, g, phase, origin=origins[i]))
        made = changes(parts)
        result: State = {"t": state["t"] + 1}
        result |= {"seed": state["seed"]} if "seed" in state else {}
        for name in self._names:
            result[name] = pytree.tree_unflatten([c.state[name] for c in made], tree)
        weights = [c.value for c in made]
        return pytree.tree_unflatten(weights, tree), result

    def _origins(self, state: Mapping[str, Any], params: Any) -> list[Tensor | None]:
        """Return where the random numbers of each leaf start, by its path as names are written."""
        paths, _ = pytree.tree_flatten_with_path(params)
        if "seed" not in state:
            return [None for _ in paths]
        names = [".".join(str(_key(k)) for k in path) or "0" for path, _ in paths]
        pairs = zip(names, paths, strict=True)
        return [origin(state["seed"], name, p.device) for name, (_, p) in pairs]

    def _like(self, tree: Any, what: str, values: Any) -> list[Any]:
        """Return the leaves of a tree that must have the structure of the parameters."""
        leaves, other = pytree.tree_flatten(values)
        if other != tree:
            raise GradientError(
                f"update by {self.declaration.name}",
                why=f"the {what} form the tree {other}, the parameters {tree}",
                hint=f"pass {what} with the structure of the parameters",
            )
        return leaves


def _key(entry: Any) -> Any:
    """Return the key, index or name that an entry of a path in a tree stands for."""
    return next(getattr(entry, k) for k in ("key", "idx", "name") if hasattr(entry, k))


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
