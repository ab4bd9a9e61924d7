"""A declaration as pure functions: init(params), update(grads, state, params)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.compiler.batches.inputs import as_loss
from normdsl.compiler.batches.sharing import scalars
from normdsl.compiler.batches.starts import require_gradient
from normdsl.compiler.evaluations.evaluating import (
    differentiated,
    missing_evaluations,
    missing_sample,
)
from normdsl.compiler.layouts import tuples
from normdsl.compiler.layouts.draws import origin
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.layouts.layout import require_kind
from normdsl.compiler.layouts.moments import missing_moments, require_read, require_shapes
from normdsl.compiler.layouts.stepper import stepper
from normdsl.compiler.lowering import refresh
from normdsl.compiler.runtime.functional_tuples import JointFunctional
from normdsl.compiler.runtime.pure import Context, Evaluate, Leaf, size, started, stepped
from normdsl.compiler.runtime.staggering import Turn, dealt
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError, kind
from normdsl.schedules.schedule import Schedule
from normdsl.show.page import Shown

State = dict[str, Any]
_MOMENTS = "update(..., input_moment=…, output_moment=…)"


class Update(NamedTuple):
    """An update that is to be computed.

    Args:
        params: the leaves of the parameters. tree: their structure. columns: those of each state.
        going: the places of the leaves that step. leaves: these, with what they step from.
        context: what all step with. evaluate: evaluates the loss. seed: of random numbers.
    """

    params: list[Any]
    tree: Any
    columns: list[list[Any]]
    going: list[int]
    leaves: list[Leaf]
    context: Context
    evaluate: Evaluate | None
    seed: Tensor | None


class Functional(Shown):
    """A rule as pure functions, usable under `torch.func` transforms and differentiable.

    Parameters, gradients and each state are trees (dicts, lists, named tuples, …) of one structure,
    with tensors of any number of axes at their leaves; the state is `{"t": scalar, name: tree, …}`,
    with the `seed` of a rule that draws. A leaf that is None stays None, and a tensor whose
    gradient is None, or that has no entries, stays as it is; the clock `t` is common to all.
    Nothing is changed in place, and `torch.compile(rule.update, fullgraph=True)` is one graph. A
    schedule that keeps values between steps (`refresh`, an iterative eigenbasis) reads the clock on
    the host at each update: a synchronisation, not under `vmap` over states, and not in one graph.
    Leaves take turns to compute theirs, dealt by their sizes, as in an optimizer.

    Args:
        declaration: the rule. schedule: how it is computed.
        workers: whether several workers run it, which `nd.simulate` brings together.
    """

    def __init__(
        self, declaration: Rule, schedule: Schedule | None = None, workers: bool = False
    ) -> None:
        self.declaration, self._workers = declaration, workers
        self._schedule = schedule or Schedule()
        self.stepper = stepper(declaration.sized({}), self._schedule, workers)
        self.joined = scalars((self.stepper,))
        self._names = [f.name for f in self.stepper.program.fields]

    def __str__(self) -> str:
        return f"{self.declaration.name} as functions: init(params), update(grads, state, params)"

    @property
    def evaluated(self) -> str | None:
        """Name of the state at which the model is evaluated; None if that is the weights."""
        return self.stepper.program.evaluated

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
        if (other := self.sized(values)) is not None:
            return other.init(params, seed=seed, **hyper)
        leaves, tree = pytree.tree_flatten(params)
        device = next((p.device for p in leaves if isinstance(p, Tensor)), torch.device("cpu"))
        state: State = {"t": torch.zeros((), dtype=torch.int64, device=device)}
        if self.stepper.draws:
            state["seed"] = torch.as_tensor(seed, dtype=torch.int64, device=device)
        origins = self._origins(state, params)
        starts = [self._started(p, values, o) for p, o in zip(leaves, origins, strict=True)]
        for k, name in enumerate(self._names):
            state[name] = pytree.tree_unflatten([start[k] for start in starts], tree)
        return state

    @as_scheduled
    def update(
        self,
        grads: Any,
        state: Mapping[str, Any],
        params: Any,
        *,
        loss: Any = None,
        objective: Callable[[Any], Tensor] | None = None,
        fresh_objective: Callable[[Any], Tensor] | None = None,
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
            objective: the loss of this step as a function of the parameters, if the rule asks for
                it at other points or for products with its Hessian; torch.func must differentiate
                it.
            fresh_objective: the same on a second sample, if the rule asks on a fresh one.
            input_moment: second moments of the layers' inputs, n×n, a tree like `params`, if the
                rule reads them. output_moment: those of the gradients at their outputs, m×m.
            hyper: hyper-parameters; numbers or scalar tensors.

        Raises:
            GradientError: for trees that do not match, or a loss or moments that the rule needs
                and did not get, or got and does not read.
        """
        values = complete(self.declaration, hyper)
        told = {"loss": loss, "objective": objective, "fresh_objective": fresh_objective}
        told |= {"input_moment": input_moment, "output_moment": output_moment}
        if (other := self.sized(values)) is not None:
            return other.update(grads, state, params, **told, **hyper)
        ready = self.begun(grads, state, params, values, **told)
        return self.ended(ready, self._stepped(ready))

    def _stepped(self, ready: Update) -> list[tuple[Tensor, list[Tensor]]]:
        """Return the new value and states of each leaf that steps."""
        if not ready.leaves:
            return []
        return stepped(self.stepper, ready.leaves, ready.context, self.joined, ready.evaluate)

    def begun(
        self,
        grads: Any,
        state: Mapping[str, Any],
        params: Any,
        values: Mapping[str, Any],
        *,
        loss: Any,
        objective: Callable[[Any], Tensor] | None,
        fresh_objective: Callable[[Any], Tensor] | None,
        input_moment: Any,
        output_moment: Any,
    ) -> Update:
        """Return an update that is to be computed; see `update`."""
        params_, tree = pytree.tree_flatten(params)
        slopes = self._like(tree, "gradients", grads)
        seen = self._moments(tree, {"input_moment": input_moment, "output_moment": output_moment})
        columns = [self._like(tree, name, state[name]) for name in self._names]
        origins = self._origins(state, params)
        phase, due = self._phase(state["t"], params_)
        going = [i for i, p in enumerate(params_) if self._steps(p, slopes[i])]
        leaves = [
            Leaf(
                params_[i],
                slopes[i],
                [x[i] for x in columns],
                {k: x[i] for k, x in seen.items()},
                origins[i],
                due[i],
            )
            for i in going
        ]
        self._require(leaves)
        evaluate = self._evaluate((objective, fresh_objective), params_, tree, going)
        context = Context(state["t"] + 1, self._loss(loss), values, phase)
        return Update(params_, tree, columns, going, leaves, context, evaluate, state.get("seed"))

    def ended(
        self, ready: Update, results: Sequence[tuple[Tensor, list[Tensor]]]
    ) -> tuple[Any, State]:
        """Return the parameters and the state after an update, from what its leaves became."""
        for i, (weight, after) in zip(ready.going, results, strict=True):
            ready.params[i] = weight
            for column, new in zip(ready.columns, after, strict=True):
                column[i] = new
        result: State = {"t": ready.context.clock}
        result |= {} if ready.seed is None else {"seed": ready.seed}
        for name, column in zip(self._names, ready.columns, strict=True):
            result[name] = pytree.tree_unflatten(column, ready.tree)
        return pytree.tree_unflatten(ready.params, ready.tree), result

    def sized(self, values: dict[str, Any]) -> Functional | None:
        """Return the functions for lengths other than the default ones; None for these."""
        sized = self.declaration.sized(values)
        same = sized == self.stepper.program.declaration
        return None if same else Functional(sized, self._schedule, self._workers)

    def _started(self, param: Any, values: dict[str, Any], origin: Tensor | None) -> list[Any]:
        """Return the states of a leaf before its first step."""
        if param is None:
            return [None] * len(self._names)
        require_tensor(self.declaration.name, "parameters", param)
        require_kind(self.stepper, param)
        return started(self.stepper, param, values, origin)

    def _steps(self, param: Any, grad: Any) -> bool:
        """Return whether a leaf steps; one without entries, or without a gradient, does not."""
        name = self.declaration.name
        if param is None and grad is not None:
            raise GradientError(
                f"update by {name}",
                why="there is a gradient where the parameter is None",
                hint="leave it None in the gradients as well",
            )
        if param is None or grad is None:
            return False
        require_tensor(name, "parameters", param)
        require_tensor(name, "gradients", grad)
        require_kind(self.stepper, param)
        require_gradient(name, param, grad)
        return bool(param.numel())

    def _loss(self, loss: Any) -> Tensor | None:
        """Return the loss as a tensor, if the rule reads it."""
        if self.stepper.reads_loss and loss is None:
            raise missing_loss(self.declaration.name, "update(..., loss=value)")
        return as_loss(loss)

    def _evaluate(
        self,
        objectives: Sequence[Callable[[Any], Tensor] | None],
        values: list[Any],
        tree: Any,
        going: Any,
    ) -> Evaluate | None:
        """Return what evaluates the loss, or the second one, with some of the leaves elsewhere."""
        program, name = self.stepper.program, self.declaration.name
        if not program.phases:
            return None
        if objectives[0] is None:
            raise missing_evaluations(name, "update(..., objective=f)")
        if objectives[1] is None and any(phase.fresh for phase in program.phases):
            asked = f"take a step of {name}"
            raise missing_sample(asked, "update(..., objective=f, fresh_objective=g)")

        def at(moved: Sequence[Tensor], fresh: bool) -> Tensor:
            everything = list(values)
            for i, value in zip(going, moved, strict=True):
                everything[i] = value
            objective = objectives[fresh]
            assert objective is not None, "it is refused without"
            return objective(pytree.tree_unflatten(everything, tree))

        def evaluate(points: Any, asked: Any, fresh: bool) -> Any:
            loss = partial(at, fresh=fresh)
            here = [values[i] for i in going]
            return differentiated(loss, here, program.schedule.hessian, points, asked)

        return evaluate

    def _phase(self, done: Tensor, leaves: list[Any]) -> tuple[int, list[bool]]:
        """Return what is done with kept values that are due, and which leaves have such ones.

        Offsets are dealt to all leaves by their sizes, which do not change, so no state has them.
        """
        count = int(done) if self.stepper.keeps else 0
        if count == 0:
            return refresh.FIRST, [True for _ in leaves]
        program = self.stepper.program
        held = [i for i, p in enumerate(leaves) if isinstance(p, Tensor) and p.numel()]
        offsets = dealt([Turn(program, [(1, *size(leaves[i]))]) for i in held])
        due = {i for i, o in zip(held, offsets, strict=True) if not self.stepper.place(count + o)}
        return refresh.COMPUTE, [i in due for i in range(len(leaves))]

    def _moments(self, tree: Any, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the moments that the rule reads, by name, leaf by leaf."""
        reads = self.stepper.moments
        require_read(self.declaration.name, reads, given, _MOMENTS)
        return {name: self._like(tree, name, given[name]) for name in reads}

    def _require(self, leaves: list[Leaf]) -> None:
        """Refuse moments that are missing at a leaf, or of another shape than its layer's."""
        name, reads = self.declaration.name, self.stepper.moments
        for leaf in leaves:
            if any(x is None for x in leaf.moments.values()):
                raise missing_moments(name, reads, _MOMENTS)
            require_shapes(name, size(leaf.param), {k: [x] for k, x in leaf.moments.items()})

    def _origins(self, state: Mapping[str, Any], params: Any) -> list[Tensor | None]:
        """Return where the random numbers of each leaf start, by its path as names are written."""
        paths, _ = pytree.tree_flatten_with_path(params)
        if "seed" not in state:
            return [None for _ in paths]
        names = [".".join(str(_key(k)) for k in path) or "0" for path, _ in paths]
        pairs = zip(names, paths, strict=True)
        return [
            None if p is None else origin(state["seed"], name, p.device) for name, (_, p) in pairs
        ]

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


def require_tensor(name: str, what: str, leaf: Any) -> None:
    """Refuse a leaf that is not a tensor.

    Raises:
        GradientError: with its type.
    """
    if not isinstance(leaf, Tensor):
        raise GradientError(
            f"update by {name}",
            why=f"among the {what} is {kind(leaf)}",
            hint="leaves are tensors, or None for what does not step",
        )


def missing_loss(name: str, how: str) -> GradientError:
    """Return the error for a rule that reads the loss and was not given it."""
    return GradientError(
        f"take a step of {name}",
        why="the rule reads the value of the loss, and none was given",
        hint=f"call {how}",
    )


def functional(declaration: Rule, schedule: Schedule | None = None) -> Functional | JointFunctional:
    """Return a rule as two pure functions, for torch.func, torch.compile and differentiation.

    `init(params)` gives the state before the first step, `update(grads, state, params)` the
    parameters and the state after one; see `Functional`, and of a rule over several parameters
    `JointFunctional`.

    Example:
        >>> import normdsl as nd
        >>> import torch
        >>> pure = nd.functional(nd.optimizer(lambda lr=0.5: nd.W - lr * nd.G))
        >>> weights = {"a": torch.tensor([1.0, 2.0])}
        >>> weights, state = pure.update(weights, pure.init(weights), weights)
        >>> weights["a"]
        tensor([0.5000, 1.0000])
    """
    tuples.require(declaration, ())
    if declaration.ports:
        return JointFunctional(declaration, schedule)
    return Functional(declaration, schedule)
