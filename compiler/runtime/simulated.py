"""Workers simulated in one process: pure functions of trees with an axis of workers in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from normdsl.compiler.batches.across_workers import Meeting
from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.compiler.evaluations.asking import together
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.runtime.functional import Functional, State, Update
from normdsl.compiler.runtime.pure import begun, blame_leaves, ended
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, FactorisationError, GradientError
from normdsl.schedules.schedule import Schedule

#: The new value and states of a leaf.
Result = tuple[Tensor, list[Tensor]]


class Simulated:
    """A rule as pure functions of several workers, which meet where the rule averages over them.

    As `nd.functional`, but every leaf of parameters, gradients and states has an axis in front, one
    entry a worker; the step index is common to all. Random draws are the same on all workers, as
    they are on processes.

    Args:
        declaration: the rule. workers: how many there are. schedule: how it is computed.
    """

    def __init__(self, declaration: Rule, workers: int, schedule: Schedule | None = None) -> None:
        self.declaration, self.workers, self._schedule = declaration, workers, schedule
        self._pure = Functional(declaration, schedule, workers=True)

    @property
    def evaluated(self) -> str | None:
        """Name of the state at which the model is evaluated; None if that is the weights."""
        return self._pure.evaluated

    def copies(self, params: Any) -> Any:
        """Return the parameters of all workers, equal at first, from those of one."""
        return _mapped(lambda x: x.expand(self.workers, *x.shape).clone(), params)

    @as_scheduled
    def init(self, params: Any, *, seed: int | Tensor = 0, **hyper: Any) -> State:
        """Return the states before the first step.

        Args:
            params: the parameters of all workers. seed: of random numbers, as for `nd.functional`.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: for a leaf without an axis of workers.
        """
        each = self._apart("parameters", params)
        return self._stacked([self._pure.init(x, seed=seed, **hyper) for x in each])

    @as_scheduled
    def update(
        self,
        grads: Any,
        state: Mapping[str, Any],
        params: Any,
        *,
        loss: Tensor | Sequence[Any] | None = None,
        objective: Sequence[Callable[[Any], Tensor]] | None = None,
        fresh_objective: Sequence[Callable[[Any], Tensor]] | None = None,
        input_moment: Any = None,
        output_moment: Any = None,
        **hyper: Any,
    ) -> tuple[Any, State]:
        """Return the parameters and the states of all workers after one step.

        Args:
            grads: gradients, each worker's on its own samples, a tree like `params`.
            state: from `init` or the last `update`. params: the parameters.
            loss: a loss for each worker, if the rule reads it.
            objective: for each worker, its loss as a function of its parameters, if the rule asks
                for it elsewhere. fresh_objective: the same on a second sample.
            input_moment: second moments of the layers' inputs, if the rule reads them.
            output_moment: those of the gradients at their outputs.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: as those of `nd.functional`, and for a leaf without an axis of workers.
        """
        values = complete(self.declaration, hyper)
        pure = self._pure.sized(values) or self._pure
        trees = {"gradients": grads, "parameters": params}
        trees |= {"input_moment": input_moment, "output_moment": output_moment}
        each = {what: self._apart(what, tree) for what, tree in trees.items()}
        lists = {"loss": loss, "objective": objective, "fresh_objective": fresh_objective}
        own = {what: self._listed(what, found) for what, found in lists.items()}
        states = self._states(state)
        ready = [
            pure.begun(
                each["gradients"][k],
                states[k],
                each["parameters"][k],
                values,
                **{what: found[k] for what, found in own.items()},
                input_moment=each["input_moment"][k],
                output_moment=each["output_moment"][k],
            )
            for k in range(self.workers)
        ]
        results = _stepped(pure, ready)
        found = [pure.ended(x, after) for x, after in zip(ready, results, strict=True)]
        return _stack([x for x, _ in found]), self._stacked([x for _, x in found])

    def _apart(self, what: str, tree: Any) -> list[Any]:
        """Return the trees of the workers, one after another."""
        for x in pytree.tree_leaves(tree):
            if isinstance(x, Tensor) and x.shape[:1] != (self.workers,):
                raise GradientError(
                    f"simulate {self.workers} workers of {self.declaration.name}",
                    why=f"among the {what} is a tensor of shape {tuple(x.shape)}, whose first axis "
                    f"does not have {self.workers} entries, one a worker",
                    hint="begin with rule.copies(params), and take gradients of each worker",
                )
        return [_mapped(itemgetter(k), tree) for k in range(self.workers)]

    def _listed(self, what: str, found: Any) -> Sequence[Any]:
        """Return what each worker is given besides trees."""
        if found is None:
            return [None] * self.workers
        if isinstance(found, Tensor | Sequence) and len(found) == self.workers:
            return list(found)
        raise GradientError(
            f"simulate {self.workers} workers of {self.declaration.name}",
            why=f"the {what} is not one for each worker",
            hint=f"pass {what} as a list, or a tensor, of {self.workers}",
        )

    def _states(self, state: Mapping[str, Any]) -> list[State]:
        common = {k: state[k] for k in ("t", "seed") if k in state}
        each = {k: self._apart(k, x) for k, x in state.items() if k not in common}
        return [common | {k: x[i] for k, x in each.items()} for i in range(self.workers)]

    def _stacked(self, states: Sequence[State]) -> State:
        common = {k: states[0][k] for k in ("t", "seed") if k in states[0]}
        own = [name for name in states[0] if name not in common]
        return common | {name: _stack([state[name] for state in states]) for name in own}


def _stepped(pure: Functional, ready: Sequence[Update]) -> list[list[Result]]:
    """Return what the leaves of all workers become."""
    stepper, joined = pure.stepper, pure.joined
    if not ready[0].leaves:
        return [[] for _ in ready]
    each = [begun(stepper, x.leaves, x.context, x.evaluate) for x in ready]
    runs = [x.together for x in each]
    if len({len(run) for run in runs}) > 1:
        raise GradientError(
            f"simulate {len(runs)} workers of {stepper.program.declaration.name}",
            why="some workers have gradients of parameters of which others have none",
            hint="pass gradients of the same parameters for all workers",
        )
    needed = [[True] * len(stepper.program.workers) for _ in runs[0]]
    share = Meeting(runs, joined, needed, _average)
    try:
        told = together(runs, [x.oracle for x in each], share)
        return [ended(stepper, x, known) for x, known in zip(each, told, strict=True)]
    except FactorisationError:
        for x in ready:
            blame_leaves(stepper, x.leaves, x.context)
        raise


def _average(own: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.stack(x).mean(0) for x in zip(*own, strict=True)]


def _mapped(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Return a tree with its tensors changed."""
    return pytree.tree_map(lambda x: function(x) if isinstance(x, Tensor) else x, tree)


def _stack(trees: Sequence[Any]) -> Any:
    """Return one tree of several, with an axis in front of their tensors."""
    columns = zip(*(pytree.tree_leaves(tree) for tree in trees), strict=True)
    leaves = [torch.stack(x) if isinstance(x[0], Tensor) else x[0] for x in columns]
    return pytree.tree_unflatten(leaves, pytree.tree_structure(trees[0]))


def simulate(declaration: Rule, workers: int, schedule: Schedule | None = None) -> Simulated:
    """Return a rule as pure functions of several workers in one process.

    `init(params)` and `update(grads, state, params)` are those of `nd.functional`, with an axis of
    workers in front of every tensor. Where the rule says `nd.mean(x, over="workers")`, it is the
    mean along this axis; a process for each worker computes the same, up to rounding.

    Args:
        declaration: the rule. workers: how many, at least one. schedule: how it is computed.

    Raises:
        DeclarationError: for a rule over several parameters, or without a worker.

    Example:
        >>> import normdsl as nd
        >>> import torch
        >>> rule = nd.optimizer(lambda lr=0.5: nd.mean(nd.W - lr * nd.G, over="workers"))
        >>> both = nd.simulate(rule, workers=2)
        >>> w = both.copies(torch.ones(2, 2))
        >>> w, state = both.update(torch.stack([w[0], 3 * w[1]]), both.init(w), w)
        >>> w[0, 0], w[1, 0]
        (tensor([0., 0.]), tensor([0., 0.]))
    """
    if declaration.ports or type(workers) is not int or workers < 1:
        raise DeclarationError(
            f"simulate {workers} workers of {declaration.name}",
            why="its parameters step by several rules"
            if declaration.ports
            else "there is a whole number of workers, at least one",
            hint="use nd.functional" if declaration.ports else "pass workers=8",
        )
    return Simulated(declaration, workers, schedule)
