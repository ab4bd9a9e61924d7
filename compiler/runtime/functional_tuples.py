"""A rule over several parameters as pure functions: what it takes at once are leaves at one place.

Parameters are a tree for each that the rule names, {"A": …, "B": …}, all of one structure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.compiler.batches.inputs import as_loss
from normdsl.compiler.batches.starts import require_gradient
from normdsl.compiler.layouts import tuples
from normdsl.compiler.layouts.draws import origin
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.layouts.layout import require_kind
from normdsl.compiler.layouts.stepper import Stepper, stepper
from normdsl.compiler.lowering import refresh
from normdsl.compiler.runtime.pure import Context, Leaf, matrix, size, started, stepped
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError, HyperparameterError, kind
from normdsl.expressions.nodes import Source
from normdsl.schedules.schedule import Schedule
from normdsl.show.page import Shown

State = dict[str, Any]


@attrs.frozen(eq=False)
class _Member:
    """One parameter of a tuple.

    Args:
        number: which of those that the rule names. place: of the tuple in the trees.
        stepper: its part of the rule. together: the tuple.
    """

    number: int
    place: int
    stepper: Stepper
    together: Sequence[Tensor]

    @property
    def param(self) -> Tensor:
        """The parameter."""
        return self.together[self.number]


class JointFunctional(Shown):
    """A rule over several parameters as pure functions, for torch.func and differentiation.

    Parameters and gradients are mappings {"A": tree, "B": tree} by the names that the rule has for
    them, the trees of one structure; the state is {"t": scalar, "A": {name: tree}, …}. Nothing is
    changed in place. A tuple steps if all its parameters have a gradient.

    Args:
        declaration: the rule. schedule: how it is computed; it keeps no values between steps.

    Raises:
        HyperparameterError: for a schedule that keeps values between steps.
    """

    evaluated = None

    def __str__(self) -> str:
        return f"{self.declaration.name} as functions: init(params), update(grads, state, params)"

    def __init__(self, declaration: Rule, schedule: Schedule | None = None) -> None:
        self.declaration, self._schedule = declaration, schedule or Schedule()
        self._ports = [port.name for port in declaration.ports]
        if self._schedule.refresh > 1 or self._schedule.eigenbasis.iterative:
            raise HyperparameterError(
                f"run {declaration.name} as pure functions with {self._schedule}",
                why="values that are kept between steps are dealt to parameters by an optimizer",
                hint=f"leave refresh=… out, or use the optimizer, {declaration.name}(params)",
            )

    @as_scheduled
    def init(self, params: Mapping[str, Any], *, seed: int | Tensor = 0, **hyper: Any) -> State:
        """Return the state before the first step; see `Functional.init`.

        Raises:
            GradientError: for parameters that the rule cannot take.
        """
        values, (columns, tree) = complete(self.declaration, hyper), self._trees(params)
        device = next((p.device for p in columns[0] if isinstance(p, Tensor)), torch.device("cpu"))
        state: State = {"t": torch.zeros((), dtype=torch.int64, device=device)}
        state["seed"] = torch.as_tensor(seed, dtype=torch.int64, device=device)
        held: dict[str, dict[str, list[Any]]] = {name: {} for name in self._ports}
        for x in self._members(columns):
            begun = started(x.stepper, x.param, values, origin(state["seed"], str(x.place), device))
            own = held[self._ports[x.number]]
            for field, value in zip(x.stepper.program.fields, begun, strict=True):
                own.setdefault(field.name, [None] * len(columns[0]))[x.place] = value
        return state | _unflattened(held, tree)

    @as_scheduled
    def update(
        self,
        grads: Mapping[str, Any],
        state: Mapping[str, Any],
        params: Mapping[str, Any],
        *,
        loss: Any = None,
        **hyper: Any,
    ) -> tuple[dict[str, Any], State]:
        """Return the parameters and the state after one step; see `Functional.update`.

        Raises:
            GradientError: for trees that do not match, or a loss that the rule needs and lacks.
        """
        values, (columns, tree) = complete(self.declaration, hyper), self._trees(params)
        slopes, _ = self._trees(grads)
        held: dict[str, dict[str, list[Any]]] = {
            name: {key: pytree.tree_leaves(x, is_leaf=_none) for key, x in state[name].items()}
            for name in self._ports
        }
        context = Context(state["t"] + 1, self._loss(loss), values, refresh.FIRST)
        new = [list(column) for column in columns]
        alike: dict[Stepper, list[_Member]] = defaultdict(list)
        for x in self._members(columns, slopes):
            alike[x.stepper].append(x)
        for own, members in alike.items():
            leaves = [self._leaf(x, slopes, held, state["seed"]) for x in members]
            after = stepped(own, leaves, context)
            for x, (weight, states) in zip(members, after, strict=True):
                new[x.number][x.place] = weight
                for field, value in zip(own.program.fields, states, strict=True):
                    held[self._ports[x.number]][field.name][x.place] = value
        result: State = {"t": context.clock, "seed": state["seed"], **_unflattened(held, tree)}
        found = zip(self._ports, new, strict=True)
        return {name: pytree.tree_unflatten(column, tree) for name, column in found}, result

    def _leaf(
        self, x: _Member, slopes: list[list[Any]], held: Mapping[str, Any], seed: Tensor
    ) -> Leaf:
        """Return what a parameter steps from."""
        own, part = held[self._ports[x.number]], x.stepper.program.declaration
        moments = {}
        for near in tuples.neighbours(part, self.declaration, x.together, maximize=False):
            number = next(k for k, p in enumerate(x.together) if p is near.param)
            source = slopes[number][x.place] if near.gradient else near.param
            moments[near.name] = matrix(source, size(source))[0]
        start = origin(seed, str(x.place), x.param.device)
        states = [own[field.name][x.place] for field in x.stepper.program.fields]
        return Leaf(x.param, slopes[x.number][x.place], states, moments, start)

    def _members(
        self, columns: list[list[Any]], slopes: list[list[Any]] | None = None
    ) -> Iterator[_Member]:
        """Yield the parameters that step, or have a state."""
        for place, together in enumerate(zip(*columns, strict=True)):
            given = [column[place] for column in slopes or columns]
            if any(x is None for x in (*together, *given)):
                continue
            spaces = tuples.sizes(self.declaration, together)
            for k, p in enumerate(together):
                own = stepper(self.declaration.part(k, **spaces), self._schedule)
                require_kind(own, matrix(p, size(p))[0])
                if slopes is not None:
                    require_gradient(self.declaration.name, p, given[k])
                yield _Member(k, place, own, together)

    def _trees(self, values: Mapping[str, Any]) -> tuple[list[list[Any]], Any]:
        """Return the leaves of each tree, and the structure that they have in common."""
        if not isinstance(values, Mapping) or values.keys() != {*self._ports}:
            found = ", ".join(map(str, values)) if isinstance(values, Mapping) else kind(values)
            raise self._unlike(f"was given {found}")
        trees = [pytree.tree_flatten(values[name], is_leaf=_none) for name in self._ports]
        if any(tree != trees[0][1] for _, tree in trees):
            raise self._unlike("was given trees of different structure")
        return [leaves for leaves, _ in trees], trees[0][1]

    def _unlike(self, why: str) -> GradientError:
        wanted = ", ".join(f'"{name}": tree' for name in self._ports)
        return GradientError(
            f"update by {self.declaration.name}",
            why=f"it {why}",
            hint=f"pass {{{wanted}}}, trees of one structure, both for parameters and gradients",
        )

    def _loss(self, loss: Any) -> Tensor | None:
        if loss is None and self.declaration.reads(Source.LOSS):
            raise GradientError(
                f"take a step of {self.declaration.name}",
                why="the rule reads the value of the loss, and none was given",
                hint="call update(..., loss=value)",
            )
        return as_loss(loss)


def _none(x: Any) -> bool:
    return x is None


def _unflattened(held: Mapping[str, Mapping[str, list[Any]]], tree: Any) -> State:
    return {
        name: {key: pytree.tree_unflatten(x, tree) for key, x in own.items()}
        for name, own in held.items()
    }
