"""Declarations as users hold them: rules that can be checked, printed as code, and run.

This is the top of the house: what a rule's own methods need of the compiler is imported when they
are called, so that `import normdsl` loads neither torch nor sympy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from inspect import Signature
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from normdsl.declarations.rule import Rule
from normdsl.declarations.signature import signature
from normdsl.declarations.tracing import traced
from normdsl.errors import DeclarationError, HyperparameterError, shown
from normdsl.expressions.expr import Expr
from normdsl.expressions.shapes import are_lengths
from normdsl.schedules.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from normdsl.compiler.invariance.groups import Group
    from normdsl.compiler.invariance.report import Report
    from normdsl.compiler.invariance.verdict import Verdict
    from normdsl.compiler.layouts.view import View
    from normdsl.compiler.lowering.cost import Cost
    from normdsl.compiler.lowering.passes import Passes
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
    from normdsl.compiler.sharding.traffic import ShardingPlan
    from normdsl.compiler.verdicts.equality import Equality
    from normdsl.declarations.configured import ConfiguredRule


class OfInstances:
    """A property of instances alone: their class has none, which matters to `inspect`."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.function.__name__)
        return self.function(instance)


class Method:
    """A method that does not look like a function when it is looked up on the class.

    Command lines (jsonargparse) take the signature of `type(rule).__call__`, if that is a function,
    and otherwise that of the rule, which names its hyper-parameters.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


class Declaration(Rule):
    """An update rule W ← f(W, G, t, loss, moments) that can be checked, printed and run.

    `check` proves or refutes its invariances, `source` prints its torch code, `eject` writes it as
    a file of its own, and a call makes an optimizer. It stands where a class of optimizers is asked
    for: it has a name, a module and a signature, `issubclass(rule, torch.optim.Optimizer)` holds,
    and `rule.Optimizer` is a class proper.

    Args:
        name: the name of the rule.
        hyper: its hyper-parameters, in order.
        update: the new weights, an m×n expression.
        names: what the author called sub-expressions, for display.
        doc: the author's description.
        module: where it was declared. qualname: what it is called there, with what is around it.

    Example:
        >>> import normdsl as nd
        >>> rule = nd.algorithms.sgd
        >>> rule.check("orthogonal").answer
        'invariant'
        >>> isinstance(rule, nd.Declaration), rule.defaults
        (True, {'lr': 0.001, 'weight_decay': 0.0})
    """

    @overload
    def __call__(self, params: None = None, **options: Any) -> ConfiguredRule: ...

    @overload
    def __call__(self, params: Any, **options: Any) -> DeclaredOptimizer: ...

    def __call__(
        self, params: Any = None, *unnamed: Any, **options: Any
    ) -> DeclaredOptimizer | ConfiguredRule:
        """Return a `torch.optim.Optimizer` for `params`.

        Options are hyper-parameters (`betas=` for beta1, beta2), `schedule=`, `view=`, `maximize=`,
        `capturable=`, `nonfinite="raise" | "skip"`, `judged=` (results before they are written),
        `seed=` of the random numbers that the rule draws, `capture=`, the `nd.capture(model)` of a
        rule that reads moments of the layers, and `replicas=`, which processes train one model.
        Without parameters: the rule with hyper-parameters, view and schedule, for `nd.route` or a
        parameter group.

        Raises:
            HyperparameterError: for an unknown option or a value outside its domain.
            DeclarationError: for an expression in place of parameters, as in another declaration.
        """
        if unnamed:
            raise HyperparameterError(
                f"call {self.name} with {shown(unnamed[0])} as its second argument",
                why="hyper-parameters and options are passed by name",
                hint=f"write {self.name}(params, {self.hyper[0].name if self.hyper else 'seed'}=…)",
            )
        # With an expression among the options it is a call inside another declaration.
        if params is None and not any(isinstance(x, Expr) for x in options.values()):
            from normdsl.declarations.configured import ConfiguredRule

            told = {k: options.pop(k) for k in ("view", "schedule") if k in options}
            return ConfiguredRule(self, options, **told)
        if params is None or isinstance(params, Expr):
            raise DeclarationError(
                "call a declaration inside another",
                why="declarations do not nest: called, one becomes an optimizer of parameters",
                hint="put what both use into a plain Python function of G and W, and call that",
            )
        return self.Optimizer(params, **options)

    def of_model(self, model: nn.Module, options: Mapping[str, Any]) -> DeclaredOptimizer:
        """Return the optimizer of a whole model, as trainers ask for it.

        All its parameters that need a gradient step by the rule; if it knows matrices, `nd.route`
        gives it the hidden ones.
        """
        from normdsl.routing import whole

        return whole(model, self, options)

    @property
    def Optimizer(self) -> type[DeclaredOptimizer]:
        """The class of which `rule(params)` is an instance, for places that take classes alone."""
        from normdsl.compiler.runtime.standing import optimizer_class

        return optimizer_class(self)

    @property
    def __bases__(self) -> tuple[type, ...]:
        """The classes above, as `issubclass` asks for them."""
        return (self.Optimizer,)

    def __instancecheck__(self, instance: object) -> bool:
        """Return whether an optimizer steps by this rule, where its groups bring none."""
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return isinstance(instance, DeclaredOptimizer) and instance.declaration == self

    @OfInstances
    def __signature__(self) -> Signature:
        """How it is called on parameters."""
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return signature(self.hyper, DeclaredOptimizer)

    def check(
        self, group: Group | str | Iterable[Group | str] | None = None, **assumptions: Any
    ) -> Report | Verdict:
        """Return the verdict for one group, or a report over several or over all of them.

        Assumptions fix hyper-parameters, `check(nd.groups.scale, eps=0)`, or name parts of the
        rule, `check(nd.groups.affine, transported="L, R", full_rank=True)`, in the words in which
        verdicts print them; `witnesses=False` leaves out the search for counterexamples.
        """
        from normdsl.compiler.verdicts.check import check

        return check(self, group, **assumptions)

    def on_loss(self, function: Callable[..., Any], name: str | None = None) -> Declaration:
        """Return the rule on the loss φ(f), for a function φ of the loss f of the step.

        By the chain rule it reads φ(f), φ' ∇f and φ' ∇²f + φ'' ∇f ∇fᵀ in the place of f, its
        gradient and its Hessian, at W and at any other point. The gradients of the outputs of a
        layer are multiplied by φ' as well. An increasing φ keeps minima where they are.

        Args:
            function: φ, of sums, products, powers, `nd.exp`, `nd.log`, `nd.tanh` and
                `nd.reciprocal`; what else it reads, `nd.loss` among it, is constant. Further
                arguments are hyper-parameters, as those of a rule.
            name: of the rule; by default its own.

        Raises:
            DeclarationError: for anything but such a function.

        Example:
            >>> import normdsl as nd
            >>> sgd = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.G)
            >>> print(sgd.on_loss(lambda f, a=1.0: nd.exp(a * f), "on_exponential"))
            on_exponential(η: lr = 0.1, a = 1)
              W ← W − η exp(a loss) a G
        """
        from normdsl.declarations.transformed import on_loss

        return on_loss(self, function, name)

    def equals(self, other: Rule, *, witnesses: bool = True) -> Equality:
        """Return whether another rule takes the same steps, for all losses and hyper-parameters.

        `equal` and `equal if` come with the identities that prove it; `not equal` with runs that
        part, and what is neither proved nor refuted is `unknown`. With `on_loss` it is how an
        identity of transformed losses is stated.

        Args:
            other: the other rule; what both call by one name is one number.
            witnesses: whether runs are made where there is no proof.

        Raises:
            NormdslError: for anything but a rule of the same parameters.

        Example:
            >>> import normdsl as nd
            >>> one = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.sign(nd.G))
            >>> print(one.equals(one.on_loss(lambda f: nd.exp(f))).answer)
            equal
            >>> print(one.equals(one.on_loss(lambda f: -f)).answer)
            not equal
        """
        from normdsl.compiler.verdicts.equality import equality

        return equality(self, other, witnesses=witnesses)

    def source(self, shape: tuple[int, int] = (256, 512), schedule: Schedule | None = None) -> str:
        """Return the torch code for weights of `shape`; it imports torch alone.

        Of a rule over several parameters, a step of each and one of all: `shape` is that of the
        product in which they stand, and spaces that they share have 16 dimensions. Of a rule that
        averages over workers, the code that each of them runs.

        Raises:
            DeclarationError: if the shape is not two positive numbers.
        """
        if not are_lengths(shape):
            raise DeclarationError(
                f"print the code for shape {shape!r}",
                why="weights are matrices, rows × columns",
                hint="pass shape=(256, 512)",
            )
        from normdsl.compiler.lowering.joint_source import joint_source
        from normdsl.compiler.lowering.program import lower

        each = {
            name: (lower(part, schedule or Schedule(), part.averages), size)
            for name, (part, size) in self.sized_parts(shape).items()
        }
        if self.ports:
            return joint_source(each)
        ((program, size),) = each.values()
        return program.source(size)

    def cost(self, shape: tuple[int, int] = (256, 512), schedule: Schedule | None = None) -> Cost:
        """Return what a step costs for weights of `shape`, before anything runs.

        Evaluations of the loss, products with its Hessian, operations, bytes moved, states.

        Args:
            shape: rows and columns; of a rule over several parameters, as for `source`.
            schedule: how the rule is computed.

        Example:
            >>> import normdsl as nd
            >>> nd.algorithms.sam.cost().evaluations, nd.algorithms.adam.cost().evaluations
            (2, 1)
        """
        from normdsl.compiler.lowering.cost import cost, together
        from normdsl.compiler.lowering.program import lower

        each = {
            name: cost(lower(part, schedule or Schedule()), size)
            for name, (part, size) in self.sized_parts(shape).items()
        }
        return together(each) if self.ports else next(iter(each.values()))

    def plan(
        self,
        shape: tuple[int, int] = (512, 2048),
        processes: int = 8,
        cut: str = "rows",
        schedule: Schedule | None = None,
        replicas: int | None = None,
        matrices: int = 1,
    ) -> ShardingPlan:
        """Return what processes that hold a matrix together do for a step, before anything runs.

        Which states are kept where, what is computed at an owner, what crosses and how many bytes.
        What a schedule leaves to the device is as on CPUs.

        Args:
            shape: rows and columns of the matrix. processes: how many hold it.
            cut: what is divided among them, "rows" or "cols", "both" or "none".
            schedule: how the rule is computed.
            replicas: how many times they have the whole matrix, as on an HSDP mesh of replicas ×
                shards; None for once, or for as many as there are if nothing is cut.
            matrices: how many of this shape step together, which says in how many convoys they
                cross, and whether one is too large for the turn of one process, so that a group
                owns it; bytes are of one.

        Raises:
            DeclarationError: for a rule over several parameters, or if owners would have more bytes
                than the schedule lets them.
            HyperparameterError: for another word than these, no processes or matrices, or replicas
                that do not divide the processes.

        Example:
            >>> import normdsl as nd
            >>> plan = nd.algorithms.muon.plan((512, 2048), processes=8)
            >>> [(x.what, x.how) for x in plan.sent], round(plan.share, 3)
            ([('u', 'parts → owner'), ('polar(u)', 'owner → parts')], 0.219)
        """
        from normdsl.compiler.lowering.program import lower
        from normdsl.compiler.sharding.setting import setting_of
        from normdsl.compiler.sharding.traffic import plan

        if self.ports:
            raise DeclarationError(
                f"plan {self.name} for several processes",
                why="it is a rule over several parameters, whose parts are gathered",
                hint="ask for a rule of one matrix",
            )
        program = lower(self, schedule or Schedule())
        return plan(program, setting_of(shape, processes, cut, replicas, schedule), matrices)

    def passes(self, schedule: Schedule | None = None) -> Passes:
        """Return the rule after each pass of its lowering, to print or to show in a notebook.

        What norms are replaced by, every identity that simplifies, with examples, what is shared
        and computed once, the methods, and the code at last.

        Args:
            schedule: how the rule is computed.

        Raises:
            DeclarationError: for a rule over several parameters, whose parts have passes.

        Example:
            >>> import normdsl as nd
            >>> print(nd.algorithms.sign_sgd.passes()["derive"])
            derive: norms become what defines them, and recursions one step of theirs
              lmo: argmin_{‖X‖≤1} ⟨arg, X⟩.
                lmo[‖X‖∞](G) = −sign(G)
              W ← W − η sign(G)
        """
        from normdsl.compiler.lowering.passes import passes

        if self.ports:
            raise DeclarationError(
                f"show the passes of {self.name}",
                why="each of its parameters steps by a part of the rule, with passes of its own",
                hint=f"say which: {self.name}.part(0).passes()",
            )
        return passes(self, schedule or Schedule())

    def eject(
        self,
        path: str | PathLike[str],
        schedule: Schedule | None = None,
        view: View | None = None,
    ) -> Path:
        """Write one Python file with the optimizer as a class of plain torch, and return its path.

        The file needs nothing of normdsl. It has the mathematics in its docstring, the kernels that
        the schedule chooses as functions, and a `torch.optim.Optimizer` called after the rule,
        `MuadamSania`, which steps in batches and in place to the same bits: groups, tensors as
        hyper-parameters, closures, checkpoints, and a refusal of gradients that are not finite.

        Args:
            path: where the file is written; one that is there is replaced.
            schedule: how the rule is computed, which the file then holds fixed.
            view: how parameters are seen: None, `nd.views.flat` or `nd.views.stack`.

        Raises:
            DeclarationError: for a rule that combines layers, reads moments of a layer or draws
                random numbers, and for another view.

        Example:
            >>> import tempfile
            >>> import normdsl as nd
            >>> folder = tempfile.mkdtemp()
            >>> file = nd.algorithms.lion.eject(f"{folder}/lion.py")
            >>> "class Lion(torch.optim.Optimizer):" in file.read_text(encoding="utf-8")
            True
        """
        from normdsl.compiler.eject.eject import eject

        return eject(self, path, schedule, view)


#: `@nd.optimizer()` is refused in words, rather than for a missing argument.
_FORGOTTEN: Any = None
Declaration.__call__ = Method(Declaration.__call__)  # type: ignore[method-assign]


def optimizer(function: Callable[..., Expr] = _FORGOTTEN) -> Declaration:
    """Turn a function of hyper-parameters into an update rule; used as a decorator.

    The function is called once, with symbols in place of its defaults, and returns the new weights.
    Its arguments are the hyper-parameters. An annotation (`nd.Fraction`, `nd.Positive`,
    `nd.NonNegative`, `nd.Real`) states where one may lie; without it, in [0, ∞), or in [0, 1) for
    the rate of an average.

    Raises:
        DeclarationError: if the function uses an undeclared name, or returns anything but an m×n
            expression built from the gradient.

    Example:
        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def signum(lr=1e-3, beta=0.9):
        ...     m = nd.ema(nd.G, beta)
        ...     return nd.W - lr * nd.sign(m)
        >>> print(signum)
        signum(η: lr = 0.001, β: beta = 0.9)
          m ← β m_old + (1 − β) G
          W ← W − η sign(m)
    """
    return traced(function, Declaration)


def from_json(text: str) -> Declaration:
    """Return the declaration that `to_json` wrote.

    Raises:
        SerializationError: if it is not one: malformed, beyond the limits of
            `normdsl.declarations.text_limits`, or with nodes, norms or functions that this version
            (and the modules already imported) do not define.

    Example:
        >>> import normdsl as nd
        >>> text = nd.to_json(nd.algorithms.lion)
        >>> nd.from_json(text).name
        'lion'
    """
    from normdsl.declarations.serial import read

    return read(text, Declaration)
